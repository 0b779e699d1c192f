// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Testing

@Suite struct ManifestBuilderTests {
    private static func references(_ count: Int, _ generator: inout Seeded) -> [ChunkReference] {
        (0..<count).map { _ in
            ChunkReference(
                digest: generator.bytes(32).withUnsafeBytes { Digest($0) },
                length: .random(in: 1...Manifest.chunkLengthMax, using: &generator)
            )
        }
    }

    private static func build(_ chunks: [ChunkReference]) -> (lists: [BlockList], manifest: Manifest) {
        var builder = ManifestBuilder()
        var lists: [BlockList] = []
        for chunk in chunks {
            if let list = builder.append(chunk) {
                lists.append(list)
                #expect(builder.openChunks.isEmpty)
            }
        }
        if let last = builder.finish() { lists.append(last) }
        #expect(builder.finish() == nil)
        return (lists, builder.manifest)
    }

    @Test func aManifestNamesAllChunksInOrder() throws {
        var generator = Seeded("aManifestNamesAllChunksInOrder")
        for count in [0, 1, 15, 16, 17, 256, 257, 3000] {
            let chunks = ManifestBuilderTests.references(count, &generator)
            let (lists, manifest) = ManifestBuilderTests.build(chunks)
            #expect(lists.flatMap(\.chunks) == chunks)
            #expect(manifest.size == chunks.reduce(0) { $0 + UInt64($1.length) })
            #expect(manifest.algorithm == ContainerCutter.algorithm)
            #expect(manifest.blocks.map(\.digest) == lists.map { Digest.sha256(of: $0.encoded()) })
            #expect(manifest.blocks.map(\.length) == lists.map(\.length))
            #expect(lists.dropLast().allSatisfy { (16...256).contains($0.chunks.count) })
            #expect(try Manifest(decoding: manifest.encoded()) == manifest)
        }
    }

    @Test func equalRunsOfChunksMakeEqualBlocks() {
        var generator = Seeded("equalRunsOfChunksMakeEqualBlocks")
        let chunks = ManifestBuilderTests.references(4000, &generator)
        let old = ManifestBuilderTests.build(chunks).manifest
        let changed = chunks[..<1000] + ManifestBuilderTests.references(3, &generator) + chunks[1001...]
        let new = ManifestBuilderTests.build(Array(changed)).manifest
        let fresh = Set(new.blocks).subtracting(old.blocks)
        #expect(fresh.count <= 4, "\(fresh.count) of \(new.blocks.count) blocks are new")
    }
}
