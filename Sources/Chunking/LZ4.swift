// SPDX-License-Identifier: Apache-2.0

import CLz4

/// The codec of chunks at rest: LZ4's block format.
///
/// On files of images it packs a tenth less than zstd's fast levels, three times as quickly, and unpacks at twice their
/// speed: at rest, time is what counts. Links compress again, and harder (``Compressor``).
public enum LZ4 {
    /// Compression must save at least this part of a chunk, or the chunk stays plain: reading plain is free.
    private static let worthwhilePart = 16

    /// A thread's tables.
    private final class State {
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: Int(LZ4_sizeofState()), alignment: 16)
        deinit { bytes.deallocate() }
    }

    private static let states = PerThread { State() }

    /// Compresses `raw` into `out`.
    ///
    /// - Parameter out: `raw.count` bytes are always enough; with fewer, input may stay plain that needed more.
    /// - Returns: the codec and the bytes of `out` that are used; `.plain` and 0, with `out` in any state, where
    ///   compression does not save at least 1/16.
    public static func compress(
        _ raw: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer
    ) -> (codec: Codec, count: Int) {
        // LZ4 gives up as soon as it runs out of room: the room is what would be worth it.
        let room = min(out.count, raw.count - raw.count / worthwhilePart - 1)
        guard room > 0, raw.count <= Int(LZ4_MAX_INPUT_SIZE) else { return (.plain, 0) }
        let count = LZ4_compress_fast_extState(
            states.value.bytes, raw.baseAddress, out.baseAddress, Int32(raw.count), Int32(room), 1)
        return count > 0 ? (.lz4, Int(count)) : (.plain, 0)
    }

    static func decompress(
        _ stored: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer
    ) throws(ChunkingError) {
        guard let size = Int32(exactly: stored.count), let room = Int32(exactly: out.count) else {
            throw ChunkingError(.malformed, "an LZ4 block of \(stored.count) bytes for \(out.count)")
        }
        let count = LZ4_decompress_safe(stored.baseAddress, out.baseAddress, size, room)
        guard count == room else {
            throw ChunkingError(.malformed, "an LZ4 block for \(room) bytes gave \(max(0, count))")
        }
    }
}
