// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Storage
import Testing

@Suite(.timeLimit(.minutes(5))) struct CorruptionTests {
    /// Every bit of a record is protected (P2).
    @Test(arguments: [true, false])
    func noFlippedBitIsServed(compresses: Bool) throws {
        var generator = Seeded("noFlippedBitIsServed")
        let sample = Sample(compresses ? [UInt8](repeating: 5, count: 900) : generator.bytes(300))
        let directory = try TemporaryDirectory()
        let store = try directory.open(segmentByteCount: 64 << 20)
        var start: UInt64 = 64
        try store.chunks.insert(sample)
        let path = try directory.segments[0]
        let length = try size(of: path) - start
        for at in 0..<length {
            let byte = try Data(contentsOf: URL(fileURLWithPath: path))[Int(start + at)]
            try overwrite(path, at: start + at, with: [byte ^ 1 << UInt8(generator.next() % 8)])
            var out = [UInt8](repeating: 0, count: sample.bytes.count)
            if at % 2 == 0 {
                #expect(try store.chunks.read(sample.digest) == nil, "byte \(at) of \(length)")
            } else {
                #expect(try out.withUnsafeMutableBytes { try store.chunks.read(sample.digest, into: $0) } == nil)
            }
            #expect(store.chunks.statistics.corrupt == at + 1)
            #expect(!store.chunks.contains(sample.digest))
            // Healed by the same chunk from another copy, behind the dead record.
            #expect(try store.chunks.insert(sample))
            #expect(try store.chunks.holds(sample))
            start += (length + 7) & ~7
        }
    }

    @Test func storedBytesAreCheckedBeforeTheyLeave() throws {
        var generator = Seeded("storedBytesAreChecked")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let sample = Sample(&generator, count: 5000)
        try store.chunks.insert(sample)
        try overwrite(directory.segments[0], at: 64 + 56 + 10, with: [1, 2, 3, 4])
        #expect(try store.chunks.readStored(sample.digest) == nil)
    }

    @Test func aShortenedSegmentLosesChunksAndServesNoWrongOnes() throws {
        var generator = Seeded("aShortenedSegment")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let samples = Sample.some(30, &generator)
        for sample in samples { try store.chunks.insert(sample) }
        truncate(try directory.segments[0], 100_000)
        let kept = try samples.filter { try store.chunks.holds($0) }.count
        #expect(kept < 30)
        #expect(store.chunks.statistics.corrupt == UInt64(30 - kept))
    }

    @Test func aChunkCanBeDroppedByWhoKnowsBetter() throws {
        var generator = Seeded("aChunkCanBeDropped")
        let store = try TemporaryDirectory().open()
        let sample = Sample(&generator)
        try store.chunks.insert(sample)
        #expect(store.chunks.drop(sample.digest))
        #expect(try !store.chunks.holds(sample))
        #expect(try store.chunks.insert(sample))
    }
}
