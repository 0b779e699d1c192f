// SPDX-License-Identifier: Apache-2.0

import FUSE
import Foundation

/// What the kernel's FUSE path costs by itself: a file system that drops what is written and gives out zeros.
enum FUSEStages {
    static let byteCount = 512 << 20

    /// Core-seconds per byte of writing and of a first read, both sides of the mount together.
    static func measure() throws -> (write: Double, read: Double) {
        let path = NSTemporaryDirectory() + "/larder-stages-mount-\(getpid())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { rmdir(path) }
        let session = try Session(
            mountPoint: path,
            options: SessionOptions(),
            operations: NullFileSystem(size: UInt64(byteCount))
        )
        try session.mount()
        defer { session.stop() }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        let writeSeconds = try processSeconds {
            try pass(path + "/sink", O_WRONLY) { write($0, buffer.baseAddress, buffer.count) }
        }
        let readSeconds = try processSeconds {
            try pass(path + "/source", O_RDONLY) { read($0, buffer.baseAddress, buffer.count) }
        }
        return (writeSeconds / Double(byteCount), readSeconds / Double(byteCount))
    }

    private static func pass(_ path: String, _ flags: Int32, _ step: (Int32) -> Int) throws {
        let file = open(path, flags | O_CLOEXEC)
        guard file >= 0 else { throw POSIXError(.EIO) }
        defer { close(file) }
        for _ in 0..<byteCount >> 20 {
            guard step(file) == 1 << 20 else { throw POSIXError(.EIO) }
        }
    }

    private static func processSeconds(_ body: () throws -> Void) rethrows -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        let begin = now()
        try body()
        return now() - begin
    }
}
