// SPDX-License-Identifier: Apache-2.0

/// Block lists as they cross between two who hold the same base manifests: chunks of a base by position, new ones by
/// length and 48 bits of their digest.
///
/// Whoever receives one rebuilds the ``BlockList`` from the chunks that arrive and checks it against its block's digest:
/// a skeleton is a claim, the digest is the proof.
///
/// Format of a list: count of chunks, then runs as ``BaseRunWriter`` says, in which a new chunk is the signed difference
/// of its length and that of the chunk that was expected (0 where none was), and 6 bytes.
public enum BlockSkeleton {
    /// A chunk of a skeleton.
    public enum Item: Hashable, Sendable {
        /// It is in a base.
        case known(ChunkReference)
        /// It is in none.
        case new(length: UInt32, prefix: DigestPrefix)

        /// Bytes of the chunk, decoded.
        public var length: UInt32 {
            switch self {
            case .known(let chunk): chunk.length
            case .new(let length, _): length
            }
        }
    }

    /// One list.
    public static func encode(_ list: BlockList, against bases: [ChunkSequence]) -> [UInt8] {
        encode([list], against: bases)
    }

    /// Lists of one object in order: each goes on where the one before it ended, so that unchanged ones cost two bytes.
    public static func encode(_ lists: [BlockList], against bases: [ChunkSequence]) -> [UInt8] {
        var writer = BaseRunWriter(bases: bases)
        for list in lists {
            writer.out.count(list.chunks.count)
            writer.append(list.chunks) { out, chunk, expected in
                out.signed(Int(chunk.length) - Int(expected?.length ?? 0))
                out.prefix(DigestPrefix(of: chunk.digest))
            }
        }
        return writer.out.bytes
    }

    /// The one list of `bytes`.
    ///
    /// - Throws: ``ContentError`` `malformed` where the bytes lie, or hold more than one list.
    public static func decode(_ bytes: [UInt8], against bases: [ChunkSequence]) throws(ContentError) -> [Item] {
        try decode(bytes, count: 1, against: bases)[0]
    }

    /// The `count` lists of `bytes`.
    ///
    /// - Throws: ``ContentError`` `malformed` where the bytes lie, or hold another number of lists.
    public static func decode(
        _ bytes: [UInt8], count: Int, against bases: [ChunkSequence]
    ) throws(ContentError) -> [[Item]] {
        var reader = BaseRunReader(bytes, bases: bases)
        var lists: [[Item]] = []
        for _ in 0..<count {
            var items: [Item] = []
            let chunkCount = try reader.input.count(max: BlockList.chunkCountMax)
            items.reserveCapacity(chunkCount)
            try reader.read(chunkCount) {
                items.append(.known($0))
            } new: { input, expected throws(ContentError) in
                let step = try input.signed()
                let most = Int(Manifest.chunkLengthMax)
                // Bounded before it is added to, so that no lie overflows.
                guard abs(max(step, -most)) <= most, case let length = Int(expected?.length ?? 0) + step,
                    (1...most).contains(length)
                else { throw ContentError(.malformed, "a chunk's length is \(step) from the expected") }
                items.append(.new(length: UInt32(length), prefix: try input.prefix()))
            }
            lists.append(items)
        }
        try reader.input.end()
        return lists
    }
}
