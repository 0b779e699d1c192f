// SPDX-License-Identifier: Apache-2.0

import Content
import Testing

@Suite struct CodingTests {
    static func digest(_ generator: inout Seeded) -> Digest {
        generator.bytes(Digest.byteCount).withUnsafeBytes { Digest($0) }
    }

    static func entry(_ generator: inout Seeded) throws -> Entry {
        let bodies: [Entry.Body] = [
            .tombstone, .directory, .symlink(target: "../x/ä"),
            .inline(generator.bytes(Int.random(in: 0...Entry.inlineByteCountMax, using: &generator))),
            .object(manifest: digest(&generator), size: .random(in: 0...Manifest.sizeMax, using: &generator)),
        ]
        let version = Version(
            time: HybridTime(rawValue: generator.next()),
            agent: AgentID(high: generator.next(), low: generator.next())
        )
        let metadata = Metadata(
            mode: UInt16.random(in: 0...0o7777, using: &generator),
            modified: Int64.random(in: .min ... .max, using: &generator),
            torn: Bool.random(using: &generator)
        )
        let key = try Key("ci/dir/\(generator.next())")
        return Entry(key: key, version: version, body: bodies[Int(generator.next() % 5)], metadata: metadata)
    }

    static func manifest(_ generator: inout Seeded) -> Manifest {
        let blocks = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
            BlockReference(digest: digest(&generator), length: .random(in: 1...1_000_000, using: &generator))
        }
        return Manifest(algorithm: 1, blocks: blocks)
    }

    static func blockList(_ generator: inout Seeded) -> BlockList {
        let chunks = (0..<Int.random(in: 0...BlockList.chunkCountMax, using: &generator)).map { _ in
            ChunkReference(
                digest: digest(&generator), length: .random(in: 1...Manifest.chunkLengthMax, using: &generator))
        }
        return BlockList(chunks: chunks)
    }

    @Test func everythingSurvivesItsEncoding() throws {
        var generator = Seeded("everythingSurvivesItsEncoding")
        for _ in 0..<200 {
            let entry = try CodingTests.entry(&generator)
            #expect(try Entry(decoding: entry.encoded()) == entry)
            let manifest = CodingTests.manifest(&generator)
            #expect(try Manifest(decoding: manifest.encoded()) == manifest)
            let list = CodingTests.blockList(&generator)
            #expect(try BlockList(decoding: list.encoded()) == list)
            let changes: [Publication.Change] = [
                .entry(entry), .holding(manifest: CodingTests.digest(&generator), held: true),
                .holding(manifest: CodingTests.digest(&generator), held: false),
            ]
            for change in changes {
                let publication = Publication(
                    agent: AgentID(high: generator.next(), low: 7), number: generator.next(), change: change)
                var out = ByteWriter()
                publication.encode(into: &out)
                var reader = ByteReader(out.bytes)
                #expect(try Publication(decoding: &reader) == publication)
                try reader.end()
            }
        }
    }

    /// Bytes that nobody trusts: any mutation is decoded or refused, and nothing traps or allocates without bound.
    @Test func mutatedBytesAreDecodedOrRefused() throws {
        var generator = Seeded("mutatedBytesAreDecodedOrRefused")
        for _ in 0..<3000 {
            let originals = [
                try CodingTests.entry(&generator).encoded(), CodingTests.manifest(&generator).encoded(),
                Array(CodingTests.blockList(&generator).encoded().prefix(2000)),
            ]
            for original in originals {
                let bytes = CodingTests.mutate(original, &generator)
                _ = try? Entry(decoding: bytes)
                _ = try? Manifest(decoding: bytes)
                _ = try? BlockList(decoding: bytes)
                var reader = ByteReader(bytes)
                _ = try? Publication(decoding: &reader)
            }
        }
    }

    private static func mutate(_ bytes: [UInt8], _ generator: inout Seeded) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            switch generator.next() % 5 {
            case 0: bytes[at] ^= 1 << UInt8(generator.next() % 8)
            case 1: bytes[at] = [0, 0x7f, 0x80, 0xff][Int(generator.next() % 4)]
            case 2: bytes.removeSubrange(at...)
            case 3: bytes.insert(contentsOf: generator.bytes(5), at: at)
            default: bytes.remove(at: at)
            }
        }
        return bytes
    }

    @Test func countsOfMoreThan64BitsAreRefused() {
        var reader = ByteReader([UInt8](repeating: 0xff, count: 9) + [0x02])
        #expect(throws: ContentError.self) { try reader.count() }
        var most = ByteReader([UInt8](repeating: 0xff, count: 9) + [0x01])
        #expect((try? most.count()) == .max)
    }

    @Test func bytesLeftOverAreRefused() throws {
        var generator = Seeded("bytesLeftOver")
        #expect(throws: ContentError.self) { try Entry(decoding: CodingTests.entry(&generator).encoded() + [0]) }
        #expect(throws: ContentError.self) { try Manifest(decoding: CodingTests.manifest(&generator).encoded() + [0]) }
    }

    @Test func aManifestThatMiscountsIsRefused() throws {
        var out = ByteWriter()
        out.fixed(UInt8(1))
        out.fixed(UInt16(1))
        out.count(5)
        out.count(1)
        out.count(4)
        out.raw([UInt8](repeating: 7, count: 32))
        #expect(throws: ContentError.self) { try Manifest(decoding: out.bytes) }
    }

    @Test func digestsSurviveTheirText() {
        var generator = Seeded("digestsSurviveTheirText")
        let digest = CodingTests.digest(&generator)
        #expect(Digest(hex: digest.hex) == digest)
        #expect(Digest(hex: digest.hex.uppercased()) == digest)
        #expect(Digest(hex: digest.hex.dropLast()) == nil)
        #expect(Digest(hex: digest.hex + "0") == nil)
        #expect(Digest(hex: String(repeating: "x", count: 64)) == nil)
        #expect(digest.bytes.withUnsafeBytes { Digest($0) } == digest)
    }
}
