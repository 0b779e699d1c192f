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

@Suite struct DeltaPlanTests {
    private static func image(_ bodies: [[UInt8]], time: Int, _ order: [Int]) -> [UInt8] {
        var layer = TarFixture()
        for i in order { layer.add("srv/app/file\(i)", bodies[i], time: time) }
        layer.end()
        var image = TarFixture()
        image.add("\(time)/layer.tar", layer.bytes, time: time)
        image.end()
        return image.bytes
    }

    private static func plan(_ old: CutObject, _ new: CutObject, usesTargets: Bool = false) -> DeltaPlan {
        let base = old.shapes(without: Set(new.chunks.map(\.digest)))
        let known = Set(old.chunks.map(\.digest))
        let target = new.shapes(without: known)
        let run = TargetRun(
            offset: 0, chunks: new.chunks, isWanted: new.chunks.map { !known.contains($0.digest) },
            sketches: target.sketches
        )
        return DeltaPlan(
            runs: [run], outline: target.outline,
            bases: [
                BaseObject(sequence: ChunkSequence(chunks: old.chunks), sketches: base.sketches, outline: base.outline)
            ],
            usesTargets: usesTargets
        )
    }

    /// Encodes and decodes all batches, and says how many bytes they took.
    private static func cross(_ plan: DeltaPlan, _ old: CutObject, _ new: CutObject) throws -> Int {
        var arrived: [Digest: ArraySlice<UInt8>] = old.contents
        var sum = 0
        var next = 0
        for batch in plan.batches {
            #expect(batch.targets.lowerBound == next)
            next = batch.targets.upperBound
            #expect(batch.bases == batch.bases.sorted() && Set(batch.bases).count == batch.bases.count)
            #expect(plan.rawByteCount(of: batch) <= DeltaEncoder.targetByteCountMax)
            let frame = plan.encode(batch, level: 3) { chunk, buffer in
                buffer.copyBytes(from: new.contents[chunk.digest] ?? old.contents[chunk.digest] ?? [])
            }
            sum += frame.count
            let raw = try DeltaPlan.decode(
                frame, bases: plan.baseChunks(of: batch), rawByteCount: plan.rawByteCount(of: batch)
            ) { chunk, buffer in
                // Only what the receiver had, or has got by now.
                buffer.copyBytes(from: arrived[chunk.digest] ?? [])
            }.get()
            var at = 0
            for chunk in plan.targets[batch.targets] {
                let part = raw[at..<at + Int(chunk.length)]
                #expect(Digest.sha256(of: Array(part)) == chunk.digest)
                arrived[chunk.digest] = part
                at += part.count
            }
        }
        #expect(next == plan.targets.count)
        return sum
    }

    @Test("P7: a rebuilt image crosses in a small part of its bytes")
    func aRebuiltImageIsSmall() throws {
        var generator = Seeded("aRebuiltImageIsSmall")
        var bodies = (0..<80).map { _ in generator.some(Int.random(in: 100...120_000, using: &generator)) }
        let old = CutObject(DeltaPlanTests.image(bodies, time: 1_700_000_000, Array(bodies.indices)))
        for i in bodies.indices where i % 4 == 0 { bodies[i][bodies[i].count / 2] ^= 1 }
        let order = bodies.indices.shuffled(using: &generator)
        let new = CutObject(DeltaPlanTests.image(bodies, time: 1_700_099_999, order))
        let plan = DeltaPlanTests.plan(old, new)
        #expect(plan.batches.count > 0 && plan.targets.count < new.chunks.count)
        let sum = try DeltaPlanTests.cross(plan, old, new)
        #expect(sum < 12_000, "\(sum) bytes for \(plan.targets.count) chunks of \(new.bytes.count) bytes")
    }

    /// A file that was changed too much to look alike is found by its path.
    @Test func filesAreFoundByTheirPath() throws {
        var generator = Seeded("filesAreFoundByTheirPath")
        let bodies = (0..<6).map { _ in generator.bytes(100_000) }
        let old = CutObject(DeltaPlanTests.image(bodies, time: 1_700_000_000, Array(0..<6)))
        let changed = bodies.map { body in
            // One byte in 60 is another: no run is long enough for a sample to be the same, but for few.
            var copy = body
            for at in stride(from: 0, to: copy.count, by: 60) { copy[at] ^= 0xff }
            return copy
        }
        let new = CutObject(DeltaPlanTests.image(changed, time: 1_700_099_999, [3, 1, 5, 0, 4, 2]))
        let sum = try DeltaPlanTests.cross(DeltaPlanTests.plan(old, new), old, new)
        #expect(sum < 150_000, "\(sum) bytes of 600,000")
    }

    @Test func chunksThatCrossedAreBasesOfLaterOnes() throws {
        var generator = Seeded("chunksThatCrossedAreBasesOfLaterOnes")
        let old = CutObject(generator.bytes(100_000))
        let bodies = (0..<30).map { _ in generator.bytes(90_000) }
        var copies = bodies
        for i in copies.indices { copies[i][40_000] ^= 1 }
        let new = CutObject(DeltaPlanTests.image(bodies + copies, time: 1, Array(0..<60)))
        let without = try DeltaPlanTests.cross(DeltaPlanTests.plan(old, new), old, new)
        let with = try DeltaPlanTests.cross(DeltaPlanTests.plan(old, new, usesTargets: true), old, new)
        #expect(with < without * 6 / 10, "\(with) bytes against \(without)")
    }

    @Test func nothingLikeItIsSentPlainly() throws {
        var generator = Seeded("nothingLikeItIsSentPlainly")
        let old = CutObject(generator.bytes(300_000))
        let new = CutObject(generator.bytes(3_000_000))
        let plan = DeltaPlanTests.plan(old, new)
        #expect(try DeltaPlanTests.cross(plan, old, new) < 3_010_000)
        #expect(plan.batches.count >= 2)
        let none = DeltaPlan(
            runs: [TargetRun(offset: 0, chunks: new.chunks, isWanted: new.chunks.map { _ in true }, sketches: [:])],
            outline: nil, bases: []
        )
        #expect(none.batches.allSatisfy(\.bases.isEmpty) && none.targets == new.chunks)
        #expect(DeltaPlan(runs: [], outline: nil, bases: []).batches.isEmpty)
    }
}
