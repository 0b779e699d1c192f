// SPDX-License-Identifier: Apache-2.0

import FUSE
import Glibc

/// The program of this process, as a file in the mount: read from where it lies, so that a job runs the command line
/// that belongs to its agent. `/run` is often mounted without the right to execute; the mount has its own flags.
final class ProgramFile: Sendable {
    let size: UInt64
    /// Nanoseconds since 1970.
    let modified: Int64
    private let descriptor: Int32

    /// Nil where there is no such file. What is open stays what it is, also while the agent is upgraded on the disk.
    init?(path: String) {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            Glibc.close(descriptor)
            return nil
        }
        self.descriptor = descriptor
        size = UInt64(status.st_size)
        // What a clock that is far off wrote is as good as any other time.
        let seconds = min(max(Int64(status.st_mtim.tv_sec), 0), 9_000_000_000)
        modified = seconds * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }

    deinit { Glibc.close(descriptor) }

    /// - Returns: bytes read, fewer than the buffer has only at the file's end.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        var have = 0
        while have < buffer.count {
            let count = pread(
                descriptor,
                buffer.baseAddress.map { $0 + have },
                buffer.count - have,
                off_t(clamping: offset) + off_t(have)
            )
            if count < 0 {
                if errno == EINTR { continue }
                throw Errno(rawValue: errno)
            }
            if count == 0 { break }
            have += count
        }
        return have
    }
}
