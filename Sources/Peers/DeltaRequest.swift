// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content

/// Chunks of one block that are asked for.
public struct BlockSelection: Hashable, Sendable {
    /// The block's number in the manifest.
    public let block: Int
    /// Numbers of chunks in the block, ascending.
    public let chunks: [Int]

    public init(block: Int, chunks: [Int]) {
        self.block = block
        self.chunks = chunks
    }
}

/// A request over a link for a part of an object, against base manifests that the asker's site holds. It names all that
/// the answer needs: nothing is remembered between two requests.
///
/// Format: `u8` 1, `u64` id, 32-byte manifest, `u8` level, `u8` priority, count of bases, their manifests, `u8` what,
/// and by it: 0, the manifest, nothing; 1, skeletons, ranges of blocks; 2, chunks, selections. A range is the distance
/// from the end of the one before it and a count; a selection the distance of its block, a count of bytes, a bit a chunk.
public struct DeltaRequest: Sendable {
    public enum Part: Hashable, Sendable {
        /// The manifest itself.
        case manifest
        /// Skeletons of these blocks, ascending.
        case skeletons([Range<Int>])
        /// Chunks of blocks, ascending.
        case chunks([BlockSelection])
    }

    /// The most bases of one request: each costs the other side the reading of its block lists.
    public static let basesMax = 4
    /// The most blocks in one request for skeletons: about 1 GiB of an object, 150 KiB where all of it is new.
    public static let skeletonsMax = 256
    /// The most blocks in one request for chunks.
    public static let selectionsMax = 1024
    /// The most bytes of a request: ids, and every selection with all its bits.
    public static let byteCountMax = 512 + selectionsMax * (BlockList.chunkCountMax / 8 + 4)

    public let id: UInt64
    public let manifest: Digest
    public let bases: [Digest]
    public let level: FetchLevel
    public let priority: Priority
    public let part: Part

    public init(
        id: UInt64 = .random(in: .min ... .max),
        manifest: Digest,
        bases: [Digest],
        level: FetchLevel = .site,
        priority: Priority,
        part: Part
    ) {
        self.id = id
        self.manifest = manifest
        self.bases = bases
        self.level = level
        self.priority = priority
        self.part = part
    }

    /// The same request without some of its bases; the others keep their numbers.
    func hiding(_ hidden: Set<Digest>) -> DeltaRequest {
        guard !hidden.isEmpty else { return self }
        // The digest of nothing that a store has.
        let nothing = Digest.sha256(of: [])
        return DeltaRequest(
            id: id,
            manifest: manifest,
            bases: bases.map { hidden.contains($0) ? nothing : $0 },
            level: level,
            priority: priority,
            part: part
        )
    }

    public func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: 256)
        out.fixed(UInt8(1))
        out.fixed(id)
        out.digest(manifest)
        out.fixed(level.rawValue)
        out.fixed(priority.rawValue)
        out.count(bases.count)
        for base in bases { out.digest(base) }
        switch part {
        case .manifest: out.fixed(UInt8(0))
        case .skeletons(let ranges):
            out.fixed(UInt8(1))
            out.count(ranges.count)
            var end = 0
            for range in ranges {
                out.count(range.lowerBound - end)
                out.count(range.count)
                end = range.upperBound
            }
        case .chunks(let selections):
            out.fixed(UInt8(2))
            out.count(selections.count)
            var next = 0
            for selection in selections {
                out.count(selection.block - next)
                next = selection.block + 1
                var bits = [UInt8](repeating: 0, count: (selection.chunks.last ?? 0) / 8 + 1)
                for chunk in selection.chunks { bits[chunk / 8] |= 1 << UInt8(chunk % 8) }
                out.blob(bits)
            }
        }
        return out.bytes
    }

    /// - Throws: ``ContentError`` `malformed` or `unsupported`.
    public init(decoding bytes: [UInt8]) throws(ContentError) {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown request format") }
        id = try reader.fixed()
        manifest = try reader.digest()
        guard let level = FetchLevel(rawValue: try reader.fixed()), level < .reader else {
            throw ContentError(.malformed, "a request has no level that a peer may ask at")
        }
        self.level = level
        guard let priority = Priority(rawValue: try reader.fixed()) else {
            throw ContentError(.malformed, "a request has no known priority")
        }
        self.priority = priority
        var bases: [Digest] = []
        for _ in 0..<(try reader.count(max: DeltaRequest.basesMax)) { bases.append(try reader.digest()) }
        self.bases = bases
        switch try reader.fixed(UInt8.self) {
        case 0: part = .manifest
        case 1: part = .skeletons(try DeltaRequest.ranges(&reader))
        case 2: part = .chunks(try DeltaRequest.selections(&reader))
        default: throw ContentError(.unsupported, "a request for an unknown part of an object")
        }
        try reader.end()
    }

    private static func ranges(_ reader: inout ByteReader) throws(ContentError) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var (end, sum) = (0, 0)
        for _ in 0..<(try reader.count(max: skeletonsMax)) {
            let start = end + (try reader.count(max: Manifest.blockCountMax))
            let count = try reader.count(max: skeletonsMax)
            sum += count
            guard count > 0, sum <= skeletonsMax, start + count <= Manifest.blockCountMax else {
                throw ContentError(.malformed, "a request has no blocks, or over \(skeletonsMax)")
            }
            end = start + count
            ranges.append(start..<end)
        }
        return ranges
    }

    private static func selections(_ reader: inout ByteReader) throws(ContentError) -> [BlockSelection] {
        var selections: [BlockSelection] = []
        var next = 0
        for _ in 0..<(try reader.count(max: selectionsMax)) {
            let block = next + (try reader.count(max: Manifest.blockCountMax))
            guard block < Manifest.blockCountMax else { throw ContentError(.malformed, "a block beyond the last") }
            next = block + 1
            let bits = try reader.blob(max: BlockList.chunkCountMax / 8)
            var chunks: [Int] = []
            for (at, byte) in bits.enumerated() {
                for bit in 0..<8 where byte & 1 << UInt8(bit) != 0 { chunks.append(at * 8 + bit) }
            }
            guard !chunks.isEmpty else { throw ContentError(.malformed, "a selection of no chunk") }
            selections.append(BlockSelection(block: block, chunks: chunks))
        }
        return selections
    }
}
