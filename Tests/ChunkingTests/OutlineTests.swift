// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Testing

private func walk(_ bytes: [UInt8]) -> Outline? {
    bytes.withUnsafeBytes { all in
        Outline(size: UInt64(all.count)) { offset, buffer in
            let count = min(buffer.count, all.count - Int(offset))
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[Int(offset)..<Int(offset) + count]))
            return count
        }
    }
}

private func hash(_ path: String) -> UInt64 { Outline.pathHash(path.utf8) }

@Suite struct OutlineTests {
    private static let long = String(repeating: "long/", count: 40) + "name"

    private static func image(_ generator: inout Seeded) -> (bytes: [UInt8], bodies: [String: [UInt8]]) {
        let bodies = [
            "etc/hosts": generator.bytes(200), "usr/bin/tool": generator.bytes(90_000), long: generator.bytes(3000),
            "empty": [], "manifest.json": generator.bytes(900),
        ]
        var first = TarFixture()
        first.add("./etc/hosts", bodies["etc/hosts"] ?? [])
        first.add("usr/bin/tool", bodies["usr/bin/tool"] ?? [], size: .pax)
        first.end()
        var second = TarFixture()
        second.addLong(long, bodies[long] ?? [], isPax: true)
        second.add("empty", [])
        second.end()
        var image = TarFixture()
        image.add("0123/layer.tar", first.bytes)
        image.add("4567/layer.tar", second.bytes)
        image.add("manifest.json", bodies["manifest.json"] ?? [])
        image.end()
        return (image.bytes, bodies)
    }

    @Test func membersOfTarsInATarHaveTheirInnermostPaths() throws {
        var generator = Seeded("membersOfTarsInATarHaveTheirInnermostPaths")
        let (bytes, bodies) = OutlineTests.image(&generator)
        let outline = try #require(walk(bytes))
        #expect(outline.members.count == bodies.count)
        for (path, body) in bodies {
            let member = try #require(outline.members(of: hash(path)).first, "no member \(path)")
            #expect(Array(bytes[Int(member.body)..<Int(member.end)]) == body)
            #expect(outline.members(covering: member.header..<member.header + 1).first == member)
            if !body.isEmpty { #expect(outline.members(covering: member.end - 1..<member.end).first == member) }
        }
        #expect(outline.members(of: hash("absent")).isEmpty)
        #expect(outline.members(covering: 0..<UInt64(bytes.count)).count == bodies.count)
        #expect(outline.members(covering: UInt64(bytes.count)..<UInt64(bytes.count) + 9).isEmpty)
    }

    /// Chunks by themselves say the same as the walk does of the members whose headers they hold.
    @Test func aScanOfAllChunksFindsWhatAWalkFinds() {
        var generator = Seeded("aScanOfAllChunksFindsWhatAWalkFinds")
        let (bytes, _) = OutlineTests.image(&generator)
        var scan = OutlineScan()
        var at = 0
        for end in containerCuts(bytes) {
            bytes[at..<end].withUnsafeBytes { scan.add($0, at: UInt64(at)) }
            at = end
        }
        #expect(scan.finish()?.members == walk(bytes)?.members)
    }

    @Test func membersOfAZipAreInItsDirectory() throws {
        var generator = Seeded("membersOfAZipAreInItsDirectory")
        var zip = ZipFixture()
        for i in 0..<20 { zip.add("lib/file\(i).py", generator.some(20_000), hasDescriptor: i % 2 == 0) }
        let directory = zip.end()
        let outline = try #require(walk(zip.bytes))
        #expect(outline.members.count == 20)
        for (i, body) in zip.bodies.enumerated() {
            let member = try #require(outline.members(of: hash("lib/file\(i).py")).first)
            #expect(member.body == UInt64(body.lowerBound))
            #expect(
                member.end
                    == UInt64(i < 19 ? zip.bodies[i + 1].lowerBound - 30 - "lib/file\(i + 1).py".utf8.count : directory)
            )
        }
    }

    @Test func whatIsNoContainerHasNone() {
        var generator = Seeded("whatIsNoContainerHasNone")
        #expect(walk([])?.members == nil)
        #expect(walk(generator.bytes(5000))?.members == nil)
        #expect(OutlineScan().finish()?.members == nil)
    }

    @Test func damageEndsTheWalkAndNoMore() {
        var generator = Seeded("damageEndsTheWalkAndNoMore")
        let (bytes, bodies) = OutlineTests.image(&generator)
        for _ in 0..<300 {
            var damaged = bytes
            for _ in 0..<3 {
                let block = Int.random(in: 0..<damaged.count / 512, using: &generator) * 512
                damaged[block + Int.random(in: 0..<512, using: &generator)] = UInt8(
                    truncatingIfNeeded: generator.next())
            }
            damaged.removeLast(Int.random(in: 0..<damaged.count, using: &generator))
            if let outline = walk(damaged) { #expect(outline.members.count <= bodies.count + 2) }
            var scan = OutlineScan()
            damaged.withUnsafeBytes { scan.add($0, at: 0) }
            _ = scan.finish()
        }
    }
}

@Suite struct ChunkSketchTests {
    @Test func chunksThatShareMostOfTheirBytesShareFeatures() {
        var generator = Seeded("chunksThatShareMostOfTheirBytesShareFeatures")
        var found = 0
        for _ in 0..<100 {
            let bytes = generator.some(60_000)
            var copy = bytes
            copy[Int.random(in: 0..<copy.count, using: &generator)] ^= 1
            copy.insert(contentsOf: generator.bytes(12), at: copy.count / 2)
            let sketch = bytes.withUnsafeBytes { ChunkSketch(of: $0) }
            let other = copy.withUnsafeBytes { ChunkSketch(of: $0) }
            #expect(sketch.matchCount(sketch) == 3)
            if sketch.matchCount(other) > 0 { found += 1 }
            let stranger = generator.some(60_000).withUnsafeBytes { ChunkSketch(of: $0) }
            #expect(sketch.matchCount(stranger) == 0)
        }
        #expect(found >= 90, "\(found) of 100")
    }

    @Test func shortOnesHaveSketchesToo() {
        for count in 0..<70 {
            let bytes = [UInt8](repeating: 7, count: count)
            let sketch = bytes.withUnsafeBytes { ChunkSketch(of: $0) }
            #expect(sketch == bytes.withUnsafeBytes { ChunkSketch(of: $0) })
        }
    }
}
