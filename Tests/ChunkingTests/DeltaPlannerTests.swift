// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Testing

/// An object in memory, cut and named.
private struct CutObject {
    let bytes: [UInt8]
    let chunks: [ChunkReference]
    let contents: [Digest: ArraySlice<UInt8>]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        var contents: [Digest: ArraySlice<UInt8>] = [:]
        var chunks: [ChunkReference] = []
        var at = 0
        for end in containerCuts(bytes) {
            let digest = Digest.sha256(of: Array(bytes[at..<end]))
            contents[digest] = bytes[at..<end]
            chunks.append(ChunkReference(digest: digest, length: UInt32(end - at)))
            at = end
        }
        self.chunks = chunks
        self.contents = contents
    }

    /// Sketches and outline of the chunks that are not in the set.
    func shapes(without known: Set<Digest>) -> (sketches: [Int: ChunkSketch], outline: Outline?) {
        var sketches: [Int: ChunkSketch] = [:]
        var scan = OutlineScan()
        var offset = 0
        for (position, chunk) in chunks.enumerated() {
            let end = offset + Int(chunk.length)
            if !known.contains(chunk.digest) {
                bytes[offset..<end].withUnsafeBytes {
                    sketches[position] = ChunkSketch(of: $0)
                    scan.add($0, at: UInt64(offset))
                }
            }
            offset = end
        }
        return (sketches, scan.finish())
    }
}

/// An object that crosses to who holds another: what its sender would do.
private struct Crossing {
    let old: CutObject
    let new: CutObject
    let targets: [ChunkReference]
    private(set) var batches: [DeltaBatch] = []
    private let base: ChunkSequence

    init(_ old: CutObject, _ new: CutObject) {
        self.old = old
        self.new = new
        base = ChunkSequence(chunks: old.chunks)
        let shapes = old.shapes(without: Set(new.chunks.map(\.digest)))
        let known = Set(old.chunks.map(\.digest))
        let object = BaseObject(sequence: base, sketches: shapes.sketches, outline: shapes.outline)
        let expected = ExpectedPositions(of: ChunkSequence(chunks: new.chunks), in: [object])
        var planner = DeltaPlanner(choice: BaseChoice(bases: [object]))
        var targets: [ChunkReference] = []
        var offset = 0
        for (position, chunk) in new.chunks.enumerated() {
            let end = offset + Int(chunk.length)
            if !known.contains(chunk.digest) {
                targets.append(chunk)
                let done = new.bytes[offset..<end].withUnsafeBytes {
                    planner.append($0, at: UInt64(offset), expected: expected[position])
                }
                if let done { batches.append(done) }
            }
            offset = end
        }
        if let last = planner.close() { batches.append(last) }
        self.targets = targets
    }

    /// Encodes and decodes all batches, and says how many bytes they took.
    func byteCount() throws -> Int {
        var sum = 0
        var next = 0
        for batch in batches {
            #expect(batch.targets.lowerBound == next)
            next = batch.targets.upperBound
            #expect(batch.bases == batch.bases.sorted() && Set(batch.bases).count == batch.bases.count)
            let raw = targets[batch.targets].flatMap { new.contents[$0.digest] ?? [] }
            #expect(raw.count <= DeltaEncoder.targetByteCountMax)
            let (bases, payload) = raw.withUnsafeBytes {
                batch.encode($0, level: 3, sequences: [base]) { chunk, buffer in
                    buffer.copyBytes(from: old.contents[chunk.digest] ?? [])
                    return true
                }
            }
            #expect(bases == batch.bases)
            sum += payload.count
            let chunks = bases.map { base.chunks[$0.position] }
            let decoded = DeltaBatch.decode(payload, bases: chunks, rawByteCount: raw.count) { chunk, buffer in
                buffer.copyBytes(from: old.contents[chunk.digest] ?? [])
            }
            #expect(try decoded.get() == raw)
        }
        #expect(next == targets.count)
        return sum
    }
}

@Suite struct DeltaPlannerTests {
    private static func image(_ bodies: [[UInt8]], time: Int, _ order: [Int]) -> [UInt8] {
        var layer = TarFixture()
        for i in order { layer.add("srv/app/file\(i)", bodies[i], time: time) }
        layer.end()
        var image = TarFixture()
        image.add("\(time)/layer.tar", layer.bytes, time: time)
        image.end()
        return image.bytes
    }

    @Test("P7: a rebuilt image crosses in a small part of its bytes")
    func aRebuiltImageIsSmall() throws {
        var generator = Seeded("aRebuiltImageIsSmall")
        var bodies = (0..<80).map { _ in generator.some(Int.random(in: 100...120_000, using: &generator)) }
        let old = CutObject(DeltaPlannerTests.image(bodies, time: 1_700_000_000, Array(bodies.indices)))
        for i in bodies.indices where i % 4 == 0 { bodies[i][bodies[i].count / 2] ^= 1 }
        let order = bodies.indices.shuffled(using: &generator)
        let new = CutObject(DeltaPlannerTests.image(bodies, time: 1_700_099_999, order))
        let crossing = Crossing(old, new)
        #expect(crossing.batches.count > 0 && crossing.targets.count < new.chunks.count)
        let sum = try crossing.byteCount()
        #expect(sum < 12_000, "\(sum) bytes for \(crossing.targets.count) chunks of \(new.bytes.count) bytes")
    }

    /// A file that was changed too much to look alike is found by its path.
    @Test func filesAreFoundByTheirPath() throws {
        var generator = Seeded("filesAreFoundByTheirPath")
        let bodies = (0..<6).map { _ in generator.bytes(100_000) }
        let old = CutObject(DeltaPlannerTests.image(bodies, time: 1_700_000_000, Array(0..<6)))
        let changed = bodies.map { body in
            // One byte in 60 is another: no run is long enough for a sample to be the same, but for few.
            var copy = body
            for at in stride(from: 0, to: copy.count, by: 60) { copy[at] ^= 0xff }
            return copy
        }
        let new = CutObject(DeltaPlannerTests.image(changed, time: 1_700_099_999, [3, 1, 5, 0, 4, 2]))
        let sum = try Crossing(old, new).byteCount()
        #expect(sum < 150_000, "\(sum) bytes of 600,000")
    }

    @Test func nothingLikeItIsSentPlainly() throws {
        var generator = Seeded("nothingLikeItIsSentPlainly")
        let old = CutObject(generator.bytes(300_000))
        let new = CutObject(generator.bytes(3_000_000))
        let crossing = Crossing(old, new)
        #expect(try crossing.byteCount() < 3_010_000)
        #expect(crossing.batches.count >= 2)
    }

    /// A chunk that the sender has lost meanwhile is in no batch, and those around it keep their numbers.
    @Test func whatIsLeftOutKeepsItsNumber() {
        var generator = Seeded("whatIsLeftOutKeepsItsNumber")
        var planner = DeltaPlanner(choice: BaseChoice(bases: []))
        var batches: [DeltaBatch] = []
        for number in 0..<100 {
            let chunk = generator.bytes(60_000)
            let done =
                number % 10 == 3
                ? planner.skip() : chunk.withUnsafeBytes { planner.append($0, at: UInt64(number * 60_000)) }
            if let done { batches.append(done) }
        }
        if let last = planner.close() { batches.append(last) }
        #expect(batches.flatMap(\.targets) == (0..<100).filter { $0 % 10 != 3 })
        #expect(planner.close() == nil)
    }

    /// What stands in the base where a chunk is comes with it, also where the chunks before it changed and are longer.
    @Test func expectedPositionsFollowTheBytes() {
        var generator = Seeded("expectedPositionsFollowTheBytes")
        func chunk(_ length: UInt32) -> ChunkReference {
            ChunkReference(digest: Digest.sha256(of: generator.bytes(16)), length: length)
        }
        let old = (0..<40).map { _ in chunk(50_000) }
        let base = BaseObject(sequence: ChunkSequence(chunks: old), sketches: [:], outline: nil)
        let new = Array(old[20..<30]) + [chunk(100_000), chunk(50_000), chunk(25_000), chunk(25_000)] + old[34..<36]
        let expected = ExpectedPositions(of: ChunkSequence(chunks: new), in: [base])
        #expect((0..<10).map { expected[$0]?.position } == Array(20..<30))
        #expect((10..<14).map { expected[$0]?.position } == [31, 32, 33, 33])
        #expect(expected[14]?.position == 34 && expected[16] == nil)
        #expect(ExpectedPositions(of: ChunkSequence(chunks: new), in: [])[0] == nil)
    }
}
