// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Testing

/// A copy with some bytes changed here and there.
private func edited(_ bytes: [UInt8], _ count: Int, _ generator: inout Seeded) -> [UInt8] {
    var copy = bytes
    for _ in 0..<count { copy[Int.random(in: 0..<copy.count, using: &generator)] ^= 0x55 }
    return copy
}

private func encode(_ targets: [[UInt8]], _ bases: [[UInt8]], level: Int32) -> [UInt8] {
    targets.joined().map { $0 }.withUnsafeBytes { target in
        bases.joined().map { $0 }.withUnsafeBytes { DeltaEncoder.encode(target, prefix: $0, level: level) }
    }
}

private func decode(_ frame: [UInt8], _ bases: [[UInt8]], _ count: Int) throws -> [UInt8] {
    let prefix = Array(bases.joined())
    return try prefix.withUnsafeBytes { try DeltaDecoder.decode(frame, prefix: $0, rawByteCount: count) }
}

@Suite struct DeltaTests {
    @Test(arguments: [1, 3, 6, 9, 12, 19] as [Int32])
    func whatResemblesItsBaseIsSmallAndComesBack(level: Int32) throws {
        var generator = Seeded("whatResemblesItsBaseIsSmallAndComesBack")
        let bases = (0..<12).map { _ in generator.some(80_000) }
        let targets = bases.shuffled(using: &generator).map { edited($0, 5, &generator) }
        let frame = encode(targets, bases, level: level)
        #expect(frame.count < 4_000, "\(frame.count) bytes")
        let raw = Array(targets.joined())
        #expect(try decode(frame, bases, raw.count) == raw)
    }

    /// The tables of the encoder reach as far as its bases do, even where nothing repeats.
    @Test(arguments: [1, 3, 6, 9] as [Int32])
    func theOldestBaseIsFoundAmongMany(level: Int32) throws {
        var generator = Seeded("theOldestBaseIsFoundAmongMany")
        for count in [500_000, 1_000_000, 3_000_000, DeltaPlanner.baseByteCount] {
            let base = generator.bytes(count)
            let target = edited(Array(base[..<min(count, DeltaPlanner.batchByteCount)]), 10, &generator)
            let frame = encode([target], [base], level: level)
            #expect(frame.count < 2_000, "\(frame.count) bytes against \(count)")
        }
    }

    @Test func withoutBasesAndWithoutTargetsItWorksToo() throws {
        var generator = Seeded("withoutBasesAndWithoutTargetsItWorksToo")
        let raw = CodecTests.text(200_000, &generator)
        let frame = encode([raw], [], level: 3)
        #expect(frame.count < raw.count / 4)
        #expect(try decode(frame, [], raw.count) == raw)
        #expect(try decode(encode([], [raw], level: 3), [raw], 0) == [])
        let noise = generator.bytes(100_000)
        #expect(try decode(encode([noise], [], level: 3), [], noise.count) == noise)
    }

    @Test func partsAsBuffersAreTheirConcatenation() throws {
        var generator = Seeded("partsAsBuffersAreTheirConcatenation")
        let first = generator.bytes(30_000)
        let second = generator.bytes(40_000)
        try first.withUnsafeBytes { first in
            try second.withUnsafeBytes { second in
                let frame = DeltaEncoder.encode(targets: [second, first], bases: [first, second], level: 3)
                #expect(frame.count < 200)
                let raw = try DeltaDecoder.decode(frame, bases: [first, second], rawByteCount: 70_000)
                #expect(raw.elementsEqual(Array(second) + Array(first)))
            }
        }
    }

    @Test func liesAreRefusedAndWriteNoFurther() throws {
        var generator = Seeded("liesAreRefusedAndWriteNoFurther")
        let base = generator.bytes(100_000)
        let target = edited(base, 20, &generator)
        let frame = encode([target], [base], level: 3)
        for count in [0, 1, target.count - 1, target.count + 1, DeltaEncoder.targetByteCountMax + 1, -1] {
            #expect(throws: ChunkingError.self) { try decode(frame, [base], count) }
        }
        #expect(throws: ChunkingError.self) { try decode(Array(frame.dropLast()), [base], target.count) }
        #expect(throws: ChunkingError.self) { try decode([], [base], target.count) }
        // Other bases give an error or other bytes, which the digests tell.
        let other = try? decode(frame, [generator.bytes(100_000)], target.count)
        #expect(other != target)
        for _ in 0..<2000 {
            var mutated = frame
            mutated[Int.random(in: 0..<frame.count, using: &generator)] = UInt8(truncatingIfNeeded: generator.next())
            if let raw = try? decode(mutated, [base], target.count) { #expect(raw.count == target.count) }
            _ = try? decode(generator.some(200), [base], target.count)
        }
        // The context is none the worse for it.
        #expect(try decode(frame, [base], target.count) == target)
    }

    @Test func aFrameThatGrowsWithoutEndIsRefused() throws {
        let zeros = [UInt8](repeating: 0, count: 2 << 20)
        let frame = encode([zeros], [], level: 3)
        #expect(frame.count < 500)
        #expect(throws: ChunkingError.self) { try decode(frame, [], 1000) }
    }

    @Test func effortFollowsTheLinkAndTheCores() {
        // Little is missing: the best level costs next to nothing.
        var effort = EncodingEffort(bytesPerSecond: 6.25e6, objectByteCount: 1 << 30, missingByteCount: 10 << 20)
        let little = effort.level(rawByteCount: 1 << 20)
        #expect(little >= 9)
        // All is missing, and the link takes it as fast as it comes.
        effort = EncodingEffort(bytesPerSecond: 1e12, objectByteCount: 1 << 30, missingByteCount: 1 << 30)
        #expect(effort.level(rawByteCount: 1 << 20) < little)
        for _ in 0..<100 { effort.encoded(rawByteCount: 1 << 20, byteCount: 500_000, seconds: 1, level: 1) }
        #expect(effort.level(rawByteCount: 1 << 20) == 1)
        // All is missing, shrinks to a third, and waits for a thin link: there is time for the best level.
        effort = EncodingEffort(bytesPerSecond: 1e6, objectByteCount: 1 << 30, missingByteCount: 1 << 30)
        for _ in 0..<100 { effort.encoded(rawByteCount: 1 << 20, byteCount: 350_000, seconds: 0.02, level: 9) }
        #expect(effort.level(rawByteCount: 1 << 20) == little)
    }
}
