// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content

/// A thread's room for one record of a data chunk, so that reading one allocates nothing.
final class ReadBuffer {
    private static let shared = PerThread { ReadBuffer() }
    private let bytes: UnsafeMutableRawBufferPointer

    private init() {
        let count = RecordHeader.byteCount + Int(Manifest.chunkLengthMax)
        bytes = .allocate(byteCount: count, alignment: 64)
    }

    deinit { bytes.deallocate() }

    /// Lends `byteCount` bytes: the thread's own, or for a record longer than a data chunk's (a manifest), new ones.
    static func with<R>(
        _ byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws(StorageError) -> R
    ) throws(StorageError) -> R {
        let own = shared.value
        if byteCount <= own.bytes.count {
            return try body(UnsafeMutableRawBufferPointer(rebasing: own.bytes[..<byteCount]))
        }
        let large = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        defer { large.deallocate() }
        return try body(large)
    }
}
