// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content

/// One pass over an object's bytes: where it is, what it has cut. A value; `Ingest` moves the bytes.
struct IngestPass: Sendable {
    /// A window of bytes that was cut into whole chunks.
    struct Window: Sendable {
        var buffer: WindowBuffer
        /// Chunks as ranges of the buffer.
        var chunks: [Range<Int>]

        /// Bytes of the chunks.
        var byteCount: UInt64 { UInt64(chunks.last?.upperBound ?? 0) }
    }

    /// Bytes cut so far: what a window consumed.
    private(set) var position: UInt64 = 0
    private(set) var builder = ManifestBuilder()
    private var cutter = ContainerCutter()

    /// Cuts as much of `buffer`, which begins at ``position``, as can be told.
    mutating func cut(_ buffer: WindowBuffer, isEnd: Bool) -> Window {
        var chunks: [Range<Int>] = []
        chunks.reserveCapacity(buffer.count / (32 << 10) + 1)
        var at = 0
        let bytes = UnsafeRawBufferPointer(buffer.bytes)
        while at < buffer.count,
            let length = cutter.cut(UnsafeRawBufferPointer(rebasing: bytes[at..<buffer.count]), isEnd: isEnd)
        {
            chunks.append(at..<at + length)
            at += length
        }
        position += UInt64(at)
        return Window(buffer: buffer, chunks: chunks)
    }

    /// Takes the references of a window's chunks, in order. Returns the block lists that they completed.
    mutating func append(_ references: [ChunkReference]) -> [BlockList] {
        references.compactMap { builder.append($0) }
    }

    /// Ends the object. Returns its last block's list.
    mutating func finish() -> BlockList? { builder.finish() }

    /// The chunks and block lists that belong to the object so far.
    var roots: [Digest] { builder.blocks.map(\.digest) + builder.openChunks.map(\.digest) }
}
