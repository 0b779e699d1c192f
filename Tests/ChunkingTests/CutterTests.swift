// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Testing

/// All chunk lengths of the bytes, cut in one go.
func cuts(_ bytes: [UInt8]) -> [Int] {
    let cutter = Cutter()
    var lengths: [Int] = []
    bytes.withUnsafeBytes { all in
        var at = 0
        while at < all.count, let length = cutter.cut(UnsafeRawBufferPointer(rebasing: all[at...]), isEnd: true) {
            lengths.append(length)
            at += length
        }
    }
    return lengths
}

private func chunks(_ bytes: [UInt8]) -> [Digest] {
    var at = 0
    return cuts(bytes).map { length in
        defer { at += length }
        return Digest.sha256(of: Array(bytes[at..<at + length]))
    }
}

@Suite struct CutterTests {
    @Test func lengthsKeepTheirBoundsAndSumUp() {
        var generator = Seeded("lengthsKeepTheirBounds")
        let bytes = generator.bytes(20 << 20)
        let lengths = cuts(bytes)
        #expect(lengths.reduce(0, +) == bytes.count)
        #expect(lengths.dropLast().allSatisfy { (Cutter.lengthMin...Cutter.lengthMax).contains($0) })
        let average = bytes.count / lengths.count
        #expect((48 << 10...96 << 10).contains(average), "the average is \(average)")
    }

    @Test func bytesThatRepeatGiveTheLongestChunks() {
        #expect(cuts([UInt8](repeating: 0, count: 600_000)) == [Cutter.lengthMax, Cutter.lengthMax, 75_712])
    }

    /// Part of the format: other cuts need another algorithm number.
    @Test func cutsAreWhatTheyWere() {
        var generator = Seeded("cutsAreWhatTheyWere", seed: 1)
        #expect(cuts(generator.bytes(400_000)) == CutterTests.known)
        #expect(Cutter.algorithm == 1)
    }

    private static let known = [105_555, 75_031, 68_362, 67_668, 83_384]

    @Test func anInsertionMovesTheCutsAroundItAndNoOthers() {
        var generator = Seeded("anInsertionMovesTheCutsAroundIt")
        let before = generator.bytes(8 << 20)
        let old = chunks(before)
        for count in [1, 7, 4096, 100_000] {
            var after = before
            after.insert(contentsOf: generator.bytes(count), at: Int.random(in: 0..<before.count, using: &generator))
            let new = Set(chunks(after)).subtracting(old)
            // The inserted bytes, the chunk that they fell into, and a few until the cuts meet again.
            #expect(new.count <= count / Cutter.lengthMin + 8, "\(new.count) new chunks after \(count) bytes")
        }
    }

    @Test func anAnswerDoesNotDependOnHowMuchIsAtHand() {
        var generator = Seeded("anAnswerDoesNotDependOnHowMuchIsAtHand")
        let bytes = generator.bytes(2 << 20)
        let cutter = Cutter()
        let whole = cuts(bytes)
        bytes.withUnsafeBytes { all in
            var at = 0
            for length in whole {
                var given = 0
                var answer: Int?
                while answer == nil {
                    given = min(given + Int.random(in: 1...40_000, using: &generator), all.count - at)
                    let part = UnsafeRawBufferPointer(rebasing: all[at..<at + given])
                    answer = cutter.cut(part, isEnd: at + given == all.count)
                    #expect(answer != nil || given < Cutter.lengthMax)
                }
                #expect(answer == length)
                at += length
            }
        }
    }

    @Test func nothingHasNoChunk() {
        #expect(cuts([]) == [])
        #expect(cuts([1]) == [1])
        #expect(Cutter().cut(UnsafeRawBufferPointer(start: nil, count: 0), isEnd: true) == nil)
    }
}
