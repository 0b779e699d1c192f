// SPDX-License-Identifier: Apache-2.0

import Content
import Testing

private func chunks(_ count: Int, _ generator: inout Seeded) -> [ChunkReference] {
    (0..<count).map { _ in
        ChunkReference(
            digest: generator.digest(),
            length: .random(in: 1...Manifest.chunkLengthMax, using: &generator)
        )
    }
}

/// What stands in for a chunk in a skeleton that was decoded.
private func agree(_ list: BlockList, _ items: [BlockSkeleton.Item]) -> Bool {
    list.chunks.count == items.count
        && zip(list.chunks, items).allSatisfy { chunk, item in
            switch item {
            case .known(let other): other == chunk
            case .new(let length, let prefix): length == chunk.length && prefix.matches(chunk.digest)
            }
        }
}

extension Seeded {
    fileprivate mutating func digest() -> Digest {
        withUnsafeBytes(of: (next(), next(), next(), next())) { Digest($0) }
    }
}

@Suite struct SkeletonTests {
    /// A rebuilt object: runs of old chunks, some replaced, some put in, runs of another base, repetitions.
    private static func rebuilt(_ bases: [ChunkSequence], _ generator: inout Seeded) -> [BlockList] {
        (0..<8).map { _ in
            var list: [ChunkReference] = []
            while list.count < 60 {
                guard let base = bases.randomElement(using: &generator), base.count > 0,
                    Int.random(in: 0..<3, using: &generator) > 0
                else {
                    list += chunks(Int.random(in: 1...3, using: &generator), &generator)
                    continue
                }
                let at = Int.random(in: 0..<base.count, using: &generator)
                list += base.chunks[at..<min(base.count, at + Int.random(in: 1...30, using: &generator))]
            }
            return BlockList(chunks: list)
        }
    }

    @Test func skeletonsComeBack() throws {
        var generator = Seeded("skeletonsComeBack")
        for baseCount in 0...3 {
            let bases = (0..<baseCount).map { _ in
                ChunkSequence(chunks: chunks(Int.random(in: 0...300, using: &generator), &generator))
            }
            let lists = SkeletonTests.rebuilt(bases, &generator)
            let decoded = try BlockSkeleton.decode(
                BlockSkeleton.encode(lists, against: bases), count: lists.count, against: bases
            )
            #expect(decoded.count == lists.count)
            #expect(zip(lists, decoded).allSatisfy(agree))
            for list in lists {
                let items = try BlockSkeleton.decode(BlockSkeleton.encode(list, against: bases), against: bases)
                #expect(agree(list, items))
            }
        }
    }

    @Test func whatIsKnownCostsAByteOrTwo() {
        var generator = Seeded("whatIsKnownCostsAByteOrTwo")
        let base = chunks(3000, &generator)
        let bases = [ChunkSequence(chunks: base)]
        let lists = stride(from: 0, to: 3000, by: 60).map { BlockList(chunks: Array(base[$0..<$0 + 60])) }
        #expect(BlockSkeleton.encode(lists, against: bases).count <= 3 * lists.count)
        // A chunk of the old length in the place of another: a token, a byte for the length, six for the digest, a token.
        var changed = base
        changed[20] = ChunkReference(digest: generator.digest(), length: base[20].length)
        let one = BlockSkeleton.encode(BlockList(chunks: Array(changed[..<60])), against: bases)
        #expect(one.count <= 3 + 1 + 1 + 6 + 2)
    }

    @Test func liesAreRefused() throws {
        var generator = Seeded("liesAreRefused")
        let bases = [ChunkSequence(chunks: chunks(100, &generator)), ChunkSequence(chunks: chunks(50, &generator))]
        let lists = SkeletonTests.rebuilt(bases, &generator)
        let bytes = BlockSkeleton.encode(lists, against: bases)
        #expect(throws: ContentError.self) {
            try BlockSkeleton.decode(Array(bytes.dropLast()), count: lists.count, against: bases)
        }
        #expect(throws: ContentError.self) {
            try BlockSkeleton.decode(bytes + [0], count: lists.count, against: bases)
        }
        #expect(throws: ContentError.self) {
            try BlockSkeleton.decode(bytes, count: lists.count, against: [ChunkSequence(chunks: [])])
        }
        for _ in 0..<5000 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                mutated[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8(
                    truncatingIfNeeded: generator.next())
            }
            guard let decoded = try? BlockSkeleton.decode(mutated, count: lists.count, against: bases) else { continue }
            #expect(decoded.allSatisfy { $0.count <= BlockList.chunkCountMax })
            #expect(decoded.joined().allSatisfy { (1...Manifest.chunkLengthMax).contains($0.length) })
        }
        for _ in 0..<5000 {
            let noise = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8(truncatingIfNeeded: generator.next())
            }
            _ = try? BlockSkeleton.decode(noise, count: 2, against: bases)
            _ = try? ManifestDelta.decode([1, 2, 0] + noise, against: [])
        }
    }

    @Test func manifestsComeBack() throws {
        var generator = Seeded("manifestsComeBack")
        func blocks(_ count: Int) -> [BlockReference] {
            (0..<count).map { _ in
                BlockReference(digest: generator.digest(), length: .random(in: 1...(64 << 20), using: &generator))
            }
        }
        let old = Manifest(algorithm: 2, blocks: blocks(400))
        let other = Manifest(algorithm: 1, blocks: blocks(20))
        let new = Manifest(
            algorithm: 2, blocks: old.blocks[..<150] + blocks(2) + old.blocks[152...] + other.blocks[5...])
        let bytes = ManifestDelta.encode(new, against: [old, other])
        #expect(bytes.count < 2 * 36 + 24)
        #expect(try ManifestDelta.decode(bytes, against: [old, other]) == new)
        #expect(try ManifestDelta.decode(ManifestDelta.encode(new, against: []), against: []) == new)
        let empty = Manifest(algorithm: 2, blocks: [])
        #expect(try ManifestDelta.decode(ManifestDelta.encode(empty, against: [old]), against: [old]) == empty)
        #expect(throws: ContentError.self) { try ManifestDelta.decode(bytes, against: [other]) }
        #expect(throws: ContentError.self) { try ManifestDelta.decode([9] + bytes.dropFirst(), against: [old, other]) }
        for _ in 0..<3000 {
            var mutated = bytes
            mutated[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8(truncatingIfNeeded: generator.next())
            if let manifest = try? ManifestDelta.decode(mutated, against: [old, other]) {
                #expect(manifest.size <= Manifest.sizeMax)
            }
        }
    }

    @Test func positionsOfBasesComeBack() throws {
        var generator = Seeded("positionsOfBasesComeBack")
        let bases = [0, 300, 1, 5000].map { ChunkSequence(chunks: chunks($0, &generator)) }
        for _ in 0..<200 {
            var positions: Set<BasePosition> = []
            for _ in 0..<Int.random(in: 0...40, using: &generator) {
                let base = Int.random(in: 1...3, using: &generator)
                let count = bases[base].count
                positions.insert(BasePosition(base: base, position: .random(in: 0..<count, using: &generator)))
            }
            var out = ByteWriter()
            BasePositions.write(positions.sorted(), to: &out)
            var reader = ByteReader(out.bytes)
            #expect(try BasePositions.read(&reader, bases: bases) == positions.sorted())
            try reader.end()
            var mutated = out.bytes
            mutated[Int.random(in: 0..<mutated.count, using: &generator)] = UInt8(truncatingIfNeeded: generator.next())
            reader = ByteReader(mutated)
            guard let read = try? BasePositions.read(&reader, bases: bases) else { continue }
            #expect(read.allSatisfy { $0.base < bases.count && $0.position < bases[$0.base].count })
            #expect(zip(read, read.dropFirst()).allSatisfy { $0 < $1 })
        }
    }

    @Test func aSequenceFindsItsChunks() {
        var generator = Seeded("aSequenceFindsItsChunks")
        var list = chunks(200, &generator)
        list += list[50..<60]
        let sequence = ChunkSequence(chunks: list)
        for (at, chunk) in list.enumerated() {
            #expect(sequence.position(of: chunk, expected: at) == at)
            #expect(sequence.position(of: chunk) == (at < 200 ? at : at - 150))
        }
        #expect(chunks(50, &generator).allSatisfy { sequence.position(of: $0) == nil })
        let liar = ChunkReference(digest: list[3].digest, length: list[3].length ^ 1)
        #expect(sequence.position(of: liar) == nil)
    }
}
