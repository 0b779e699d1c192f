// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Logging
import Storage

/// A directory that is removed with the last reference to it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("larder-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    /// A copy of a directory as it is at this moment: what a `kill -9` would leave.
    init(copyOf other: TemporaryDirectory) throws {
        path = other.path + "-copy-\(UUID().uuidString)"
        try FileManager.default.copyItem(atPath: other.path, toPath: path)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func configuration(
        quota: UInt64? = 1 << 30, segmentByteCount: UInt64 = 1 << 20, faults: DiskFaults? = nil
    ) -> StoreConfiguration {
        StoreConfiguration(
            directory: path + "/store",
            quota: quota,
            freeFraction: 0,
            segmentByteCount: segmentByteCount,
            // The store then keeps the directory for as long as it lives itself.
            faults: faults ?? DiskFaults { [self] _ in path.isEmpty ? ENOENT : 0 }
        )
    }

    func open(quota: UInt64? = 1 << 30, segmentByteCount: UInt64 = 1 << 20) throws -> Store {
        try Store.open(configuration(quota: quota, segmentByteCount: segmentByteCount), logger: quiet)
    }

    /// The segments' paths, oldest first.
    var segments: [String] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: path + "/store/segments").sorted()
                .map { path + "/store/segments/" + $0 }
        }
    }

    /// Bytes that the segments take of the disk.
    var occupied: UInt64 {
        get throws {
            try segments.reduce(0) { sum, path in
                var status = stat()
                guard stat(path, &status) == 0 else { return sum }
                return sum + UInt64(status.st_blocks) * 512
            }
        }
    }
}

let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}()

/// Changes bytes of a file in place.
func overwrite(_ path: String, at offset: UInt64, with bytes: [UInt8]) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    defer { try? file.close() }
    try file.seek(toOffset: offset)
    try file.write(contentsOf: Data(bytes))
}

func size(of path: String) throws -> UInt64 {
    (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.uint64Value ?? 0
}

/// A chunk for tests.
struct Sample {
    let bytes: [UInt8]
    let digest: Digest

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        digest = .sha256(of: bytes)
    }

    /// Half of them compress, half do not.
    init(_ generator: inout Seeded, count: Int? = nil) {
        let count = count ?? Int.random(in: 1...40_000, using: &generator)
        var bytes = generator.bytes(count)
        if generator.next() % 2 == 0 { for at in bytes.indices { bytes[at] &= 3 } }
        self.init(bytes)
    }

    static func some(_ count: Int, _ generator: inout Seeded) -> [Sample] {
        (0..<count).map { _ in Sample(&generator) }
    }
}

extension ChunkStore {
    @discardableResult
    func insert(_ sample: Sample, kind: ChunkKind = .data) throws -> Bool {
        try sample.bytes.withUnsafeBytes { try insert(sample.digest, kind: kind, raw: $0) }
    }

    /// Whether the chunk is here with the right bytes; false where it is not here; throws where the bytes are wrong.
    func holds(_ sample: Sample) throws -> Bool {
        guard let bytes = try read(sample.digest) else { return false }
        guard bytes == sample.bytes else { throw WrongBytes() }
        return true
    }
}

struct WrongBytes: Error {}
