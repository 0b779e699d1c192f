// SPDX-License-Identifier: Apache-2.0

import CZstd

/// One zstd compression context, for what crosses links: not for two threads at once.
public final class Compressor {
    /// Compression must save at least this part of a chunk, or the chunk stays plain: reading plain is free.
    private static let worthwhilePart = 16

    private let context: OpaquePointer

    /// - Parameter level: of zstd, negative ones are faster.
    public init(level: Int32) {
        guard let context = ZSTD_createCCtx() else { preconditionFailure("zstd: no memory for a context") }
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        self.context = context
    }

    deinit { ZSTD_freeCCtx(context) }

    /// The most bytes that `count` bytes can take, compressed.
    public static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

    /// Compresses `raw` into `out`.
    ///
    /// - Parameter out: ``bound(_:)`` bytes are always enough; with fewer, input may stay plain that needed more.
    /// - Returns: the codec and the bytes of `out` that are used; `.plain` and 0, with `out` in any state, where
    ///   compression does not save at least 1/16.
    public func compress(
        _ raw: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer
    ) -> (codec: Codec, count: Int) {
        // zstd gives up as soon as it runs out of room: the room is what would be worth it.
        let room = min(out.count, raw.count - raw.count / Compressor.worthwhilePart - 1)
        guard room > 0 else { return (.plain, 0) }
        let count = ZSTD_compress2(context, out.baseAddress, room, raw.baseAddress, raw.count)
        return ZSTD_isError(count) != 0 ? (.plain, 0) : (.zstd, count)
    }
}
