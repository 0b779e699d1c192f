// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Objects
import Peers
import Testing

@Suite("Bases: which objects are named, and which are encoded against")
struct BaseManifestsTests {
    private func digest(_ number: UInt8) -> Digest { Digest.sha256(of: [number]) }

    @Test(
        "What a key named before comes first, then comparable neighbours; never the object itself or what nobody holds")
    func named() {
        let named = BaseManifests.named(
            for: digest(0),
            size: 1000,
            former: [digest(1), digest(0), digest(2)],
            neighbours: [
                .init(manifest: digest(3), size: 10), .init(manifest: digest(4), size: 900),
                .init(manifest: digest(1), size: 900), .init(manifest: digest(5), size: nil),
                .init(manifest: digest(6), size: 1000),
            ],
            isHeld: { $0 != digest(2) }
        )
        #expect(named == [digest(1), digest(4), digest(5), digest(6)])
    }

    @Test("Chunks are encoded against the two bases with most in common, and a large unproven one is not read")
    func encoding() {
        #expect(BaseManifests.encoding(known: []) == [])
        #expect(BaseManifests.encoding(known: [(0, 100), (0, 100)]) == [0])
        #expect(BaseManifests.encoding(known: [(0, .max)]) == [])
        #expect(BaseManifests.encoding(known: [(10, 1), (500, 1), (400, 1), (450, 1)]) == [1, 3])
        #expect(BaseManifests.encoding(known: [(10, 1), (500, 1)]) == [1])
    }
}

@Suite("Blocks on their way from skeletons to lists")
struct BlockAssemblyTests {
    private func chunk(_ number: UInt8) -> ChunkReference {
        ChunkReference(digest: Digest.sha256(of: [number]), length: UInt32(number) + 1)
    }

    private func new(_ number: UInt8) -> BlockSkeleton.Item {
        .new(length: chunk(number).length, prefix: DigestPrefix(of: chunk(number).digest))
    }

    private func name(_ number: UInt8) -> BlockAssembly.Name {
        BlockAssembly.Name(prefix: DigestPrefix(of: chunk(number).digest), length: chunk(number).length)
    }

    @Test("Known and found chunks are not asked for, equal ones once, and a block is complete with its last chunk")
    func assembles() {
        var assembly = BlockAssembly(
            [
                (7, [.known(chunk(1)), new(2), new(3)]), (8, [.known(chunk(1))]), (9, [new(3), new(4), new(5)]),
            ],
            find: { $0 == name(4) ? chunk(4).digest : nil }
        )
        let first = assembly.takeComplete()
        #expect(first.map(\.block) == [8])
        #expect(assembly.lacking == [name(2), name(3), name(5)])
        let (selections, names) = assembly.request(for: [name(2), name(3), name(5)])
        #expect(selections == [.init(block: 7, chunks: [1, 2]), .init(block: 9, chunks: [2])])
        #expect(names == [name(2), name(3), name(5)])
        assembly.found(name(2), chunk(2).digest)
        let none = assembly.takeComplete()
        #expect(none.isEmpty)
        assembly.found(name(3), chunk(3).digest)
        let seven = assembly.takeComplete()
        #expect(seven.map(\.block) == [7])
        #expect(seven.map(\.list.chunks) == [[chunk(1), chunk(2), chunk(3)]])
        assembly.found(name(5), chunk(5).digest)
        assembly.found(name(5), chunk(5).digest)
        let nine = assembly.takeComplete()
        #expect(nine.map(\.list.chunks) == [[chunk(3), chunk(4), chunk(5)]])
        #expect(assembly.lacking.isEmpty)
    }
}
