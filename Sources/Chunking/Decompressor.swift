// SPDX-License-Identifier: Apache-2.0

import CZstd

/// One zstd decompression context: not for two threads at once. ``withShared(_:)`` lends a thread its own.
public final class Decompressor {
    private let context: OpaquePointer
    private static let shared = PerThread { Decompressor() }

    public init() {
        guard let context = ZSTD_createDCtx() else { preconditionFailure("zstd: no memory for a context") }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Calls `body` with this thread's context.
    public static func withShared<R, E: Error>(_ body: (Decompressor) throws(E) -> R) throws(E) -> R {
        try body(shared.value)
    }

    /// Turns stored bytes back into the chunk's.
    ///
    /// - Parameter out: exactly as long as the chunk.
    /// - Throws: ``ChunkingError`` `malformed` where the bytes are none of the codec's or give another length.
    public func decompress(
        _ codec: Codec, _ stored: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer
    ) throws(ChunkingError) {
        switch codec {
        case .plain:
            guard stored.count == out.count else {
                throw ChunkingError(.malformed, "a plain chunk of \(out.count) bytes is stored in \(stored.count)")
            }
            out.copyMemory(from: stored)
        case .zstd:
            let count = ZSTD_decompressDCtx(context, out.baseAddress, out.count, stored.baseAddress, stored.count)
            guard ZSTD_isError(count) == 0 else {
                throw ChunkingError(.malformed, "zstd: \(String(cString: ZSTD_getErrorName(count)))")
            }
            guard count == out.count else {
                throw ChunkingError(.malformed, "a chunk of \(out.count) bytes was decompressed to \(count)")
            }
        case .lz4: try LZ4.decompress(stored, into: out)
        }
    }
}
