// SPDX-License-Identifier: Apache-2.0

/// A manifest as it crosses to someone who holds others that resemble it: runs of blocks that are in one of them cost a
/// byte or two, new blocks their length and digest.
///
/// The digest of the manifest that comes out proves it.
///
/// Format: `u8` 1, `u16` algorithm, count of blocks, then runs as ``BaseRunWriter`` says, in which a new block is its
/// length as a count and its 32-byte digest.
public enum ManifestDelta {
    public static func encode(_ manifest: Manifest, against bases: [Manifest]) -> [UInt8] {
        var writer = BaseRunWriter(bases: bases.map(\.blockSequence))
        writer.out.fixed(UInt8(1))
        writer.out.fixed(manifest.algorithm)
        writer.out.count(manifest.blocks.count)
        writer.append(manifest.blockSequence.chunks) { out, block, _ in
            out.count(UInt64(block.length))
            out.digest(block.digest)
        }
        return writer.out.bytes
    }

    /// - Throws: ``ContentError`` `malformed` where the bytes lie, `unsupported` where the format is a later one.
    public static func decode(_ bytes: [UInt8], against bases: [Manifest]) throws(ContentError) -> Manifest {
        var reader = BaseRunReader(bytes, bases: bases.map(\.blockSequence))
        guard try reader.input.fixed(UInt8.self) == 1 else {
            throw ContentError(.unsupported, "unknown format of a manifest's delta")
        }
        let algorithm = try reader.input.fixed(UInt16.self)
        let count = try reader.input.count(max: min(Manifest.blockCountMax, Manifest.encodedByteCountMax / 33))
        var blocks: [BlockReference] = []
        var sum: UInt64 = 0
        try reader.read(count) { block throws(ContentError) in
            // As it grows: a few bytes may stand for all the blocks of a base, again and again.
            sum += UInt64(block.length)
            guard sum <= Manifest.sizeMax else {
                throw ContentError(.malformed, "the blocks are more than an object may have")
            }
            blocks.append(BlockReference(digest: block.digest, length: UInt64(block.length)))
        } new: { input, _ throws(ContentError) in
            let length = try input.count(max: UInt64(BlockList.chunkCountMax) * UInt64(Manifest.chunkLengthMax))
            guard length > 0 else { throw ContentError(.malformed, "a block of no bytes") }
            blocks.append(BlockReference(digest: try input.digest(), length: length))
        }
        try reader.input.end()
        guard blocks.reduce(UInt64(0), { $0 + $1.length }) <= Manifest.sizeMax else {
            throw ContentError(.malformed, "the blocks are more than an object may have")
        }
        return Manifest(algorithm: algorithm, blocks: blocks)
    }
}

extension Manifest {
    /// The blocks as a sequence to code against. A block has at most 64 MiB, so its length fits.
    fileprivate var blockSequence: ChunkSequence {
        ChunkSequence(chunks: blocks.map { ChunkReference(digest: $0.digest, length: UInt32(clamping: $0.length)) })
    }
}
