// SPDX-License-Identifier: Apache-2.0

/// A chunk as a block list names it.
public struct ChunkReference: Hashable, Sendable {
    public let digest: Digest
    /// Bytes of the chunk, decoded.
    public let length: UInt32

    public init(digest: Digest, length: UInt32) {
        self.digest = digest
        self.length = length
    }
}

/// The lower level of a manifest: the chunks of one block, in order.
///
/// It is stored as a chunk of its own, named by the SHA-256 of ``encoded()``; equal runs of chunks make equal blocks in
/// different objects, so a manifest of a rebuilt image repeats most of its block digests.
///
/// Format: `u8` 1, count of chunks, then for each its length as a count and its 32-byte digest.
public struct BlockList: Hashable, Sendable {
    /// The most chunks of a block; a longer run is cut.
    public static let chunkCountMax = 256

    public let chunks: [ChunkReference]

    public init(chunks: [ChunkReference]) { self.chunks = chunks }

    /// Bytes of the block, decoded.
    public var length: UInt64 { chunks.reduce(0) { $0 + UInt64($1.length) } }

    public func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: 4 + chunks.count * 36)
        out.fixed(UInt8(1))
        out.count(chunks.count)
        for chunk in chunks {
            out.count(UInt64(chunk.length))
            out.digest(chunk.digest)
        }
        return out.bytes
    }

    /// - Throws: ``ContentError`` `malformed` or `unsupported`.
    public init(decoding bytes: [UInt8]) throws(ContentError) {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown block list format") }
        let count = try reader.count(max: BlockList.chunkCountMax)
        var chunks: [ChunkReference] = []
        chunks.reserveCapacity(count)
        for _ in 0..<count {
            let length = try reader.count(max: Int(Manifest.chunkLengthMax))
            guard length > 0 else { throw ContentError(.malformed, "a chunk of no bytes") }
            chunks.append(ChunkReference(digest: try reader.digest(), length: UInt32(length)))
        }
        try reader.end()
        self.init(chunks: chunks)
    }
}

/// A block as a manifest names it.
public struct BlockReference: Hashable, Sendable {
    /// The SHA-256 of the block's encoded ``BlockList``.
    public let digest: Digest
    /// Bytes of the block, decoded.
    public let length: UInt64

    public init(digest: Digest, length: UInt64) {
        self.digest = digest
        self.length = length
    }
}

/// The upper level of a manifest: the blocks of an object, in order.
///
/// The object is the plain concatenation of its chunks. The digest of ``encoded()`` names the object.
///
/// Format: `u8` 1, `u16` algorithm, size as a count, count of blocks, then for each its length as a count and its
/// 32-byte digest. The algorithm says how the chunks were cut; readers do not need it, deduplication does: objects
/// cut by different algorithms share little.
public struct Manifest: Hashable, Sendable {
    /// The most bytes of a chunk that any algorithm may cut.
    public static let chunkLengthMax: UInt32 = 256 << 10
    /// The largest object (DESIGN §12).
    public static let sizeMax: UInt64 = 1 << 40
    /// The most blocks: ``sizeMax`` in blocks of 16 chunks of 16 KiB, the least that the cutters make of long input.
    public static let blockCountMax = 1 << 22
    /// The most bytes of an encoded manifest that a peer may send.
    public static let encodedByteCountMax = 64 << 20

    public let algorithm: UInt16
    /// Bytes of the object.
    public let size: UInt64
    public let blocks: [BlockReference]

    public init(algorithm: UInt16, blocks: [BlockReference]) {
        self.algorithm = algorithm
        self.blocks = blocks
        self.size = blocks.reduce(0) { $0 + $1.length }
    }

    public func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: 16 + blocks.count * 37)
        out.fixed(UInt8(1))
        out.fixed(algorithm)
        out.count(size)
        out.count(blocks.count)
        for block in blocks {
            out.count(block.length)
            out.digest(block.digest)
        }
        return out.bytes
    }

    /// - Throws: ``ContentError`` `malformed` where the bytes lie, `unsupported` where the format is a later one.
    public init(decoding bytes: [UInt8]) throws(ContentError) {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown manifest format") }
        let algorithm = try reader.fixed(UInt16.self)
        let size = try reader.count(max: Manifest.sizeMax)
        let count = try reader.count(max: min(Manifest.blockCountMax, reader.remaining / 33))
        var blocks: [BlockReference] = []
        blocks.reserveCapacity(count)
        var sum: UInt64 = 0
        for _ in 0..<count {
            let most = UInt64(BlockList.chunkCountMax) * UInt64(Manifest.chunkLengthMax)
            let length = try reader.count(max: most)
            guard length > 0 else { throw ContentError(.malformed, "a block of no bytes") }
            sum += length
            blocks.append(BlockReference(digest: try reader.digest(), length: length))
        }
        try reader.end()
        guard sum == size else {
            throw ContentError(.malformed, "the blocks have \(sum) bytes and the manifest says \(size)")
        }
        self.init(algorithm: algorithm, blocks: blocks)
    }
}
