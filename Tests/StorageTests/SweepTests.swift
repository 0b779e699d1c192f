// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Storage
import Testing

@Suite(.timeLimit(.minutes(5))) struct SweepTests {
    @Test func aSweepKeepsExactlyWhatIsMarked() throws {
        var generator = Seeded("aSweepKeepsExactlyWhatIsMarked")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let samples = Sample.some(400, &generator)
        for sample in samples { try store.chunks.insert(sample) }
        let kept = samples.filter { _ in generator.next() % 2 == 0 }
        let before = (stored: store.chunks.statistics.storedBytes, disk: try directory.occupied)
        let freed = try store.chunks.sweep { keep in for sample in kept { keep(sample.digest) } }
        for sample in samples {
            #expect(try store.chunks.holds(sample) == kept.contains { $0.digest == sample.digest })
        }
        #expect(store.chunks.statistics.storedBytes == before.stored - freed)
        #expect(freed > before.stored / 4)
        let fallen = before.disk - (try directory.occupied)
        #expect(fallen > freed * 9 / 10, "\(freed) bytes freed and \(fallen) fallen")
        #expect(store.chunks.statistics.corrupt == 0)
        // And so it stays.
        try store.close()
        let again = try directory.open()
        #expect(again.chunks.statistics.chunks == kept.count)
        for sample in kept { #expect(try again.chunks.holds(sample)) }
    }

    @Test func everythingGoneGivesEverythingBack() throws {
        var generator = Seeded("everythingGone")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        for sample in Sample.some(400, &generator) { try store.chunks.insert(sample) }
        let freed = try store.chunks.sweep { _ in }
        #expect(freed > 1 << 20)
        #expect(store.chunks.statistics.chunks == 0)
        #expect(try directory.segments.count == 1)
        #expect(try directory.occupied < 200_000)
        #expect(store.chunks.statistics.storedBytes < 200_000)
    }

    @Test func neighboursThatDieInTurnLeaveNothing() throws {
        var generator = Seeded("neighboursThatDieInTurn")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        var samples = (0..<1200).map { _ in Sample(generator.bytes(3000)) }
        for sample in samples { try store.chunks.insert(sample) }
        let anchors = stride(from: 0, to: samples.count, by: 300).map { samples[$0] }
        while samples.count > 4 {
            samples = samples.filter { _ in generator.next() % 3 != 0 }
            try store.chunks.sweep { keep in for sample in samples + anchors { keep(sample.digest) } }
            if samples.count < 20 { samples = [] }
        }
        // A record of 3,056 bytes lies in two blocks at most; the segment's head and tail take one each.
        #expect(try directory.occupied < 4 * 12_288 + 1 << 20)
        for sample in anchors { #expect(try store.chunks.holds(sample)) }
    }

    @Test func whatIsTouchedOrInsertedMeanwhileStays() throws {
        var generator = Seeded("whatIsTouchedOrInsertedMeanwhile")
        let store = try TemporaryDirectory().open()
        let samples = Sample.some(50, &generator)
        let new = Sample.some(3000, &generator).prefix(40)
        for sample in samples { try store.chunks.insert(sample) }
        try store.chunks.sweep { keep in
            keep(samples[0].digest)
            #expect(store.chunks.contains(samples[1].digest))
            #expect(try !store.chunks.insert(samples[2]))
            for sample in new { try store.chunks.insert(sample) }
        }
        for (at, sample) in samples.enumerated() { #expect(try store.chunks.holds(sample) == (at < 3)) }
        for sample in new { #expect(try store.chunks.holds(sample)) }
        // Touched then is not touched for ever.
        try store.chunks.sweep { keep in keep(samples[0].digest) }
        #expect(store.chunks.statistics.chunks == 1)
    }

    @Test func marksSurviveTheGrowthOfTheIndex() throws {
        let store = try TemporaryDirectory().open(segmentByteCount: 64 << 20)
        func sample(_ number: Int) -> Sample { Sample(withUnsafeBytes(of: number) { Array($0) }) }
        for number in 0..<40_000 { try store.chunks.insert(sample(number)) }
        try store.chunks.sweep { keep in
            for number in stride(from: 0, to: 40_000, by: 2) { keep(sample(number).digest) }
            for number in 40_000..<120_000 { try store.chunks.insert(sample(number)) }
        }
        #expect(store.chunks.statistics.chunks == 100_000)
        for number in stride(from: 0, to: 120_000, by: 11) {
            #expect(try store.chunks.holds(sample(number)) == (number % 2 == 0 || number >= 40_000))
        }
    }

    @Test func aMarkThatFailsDropsNothing() throws {
        var generator = Seeded("aMarkThatFails")
        let store = try TemporaryDirectory().open()
        let samples = Sample.some(20, &generator)
        for sample in samples { try store.chunks.insert(sample) }
        #expect(throws: WrongBytes.self) { try store.chunks.sweep { _ in throw WrongBytes() } }
        for sample in samples { #expect(try store.chunks.holds(sample)) }
        #expect { try store.chunks.sweep { _ in _ = try store.chunks.sweep { _ in } } } throws: {
            ($0 as? StorageError)?.code == .locked
        }
        #expect(store.chunks.statistics.chunks == 20)
    }

    /// A reader beside a sweep gets the right bytes or none, and nothing counts as corrupt that was only swept.
    @Test func readersBesideSweepsGetRightBytesOrNone() async throws {
        var generator = Seeded("readersBesideSweeps")
        let store = try TemporaryDirectory().open()
        let samples = Sample.some(200, &generator)
        let keepers = samples.prefix(50)
        for sample in samples { try store.chunks.insert(sample) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<2 {
                group.addTask {
                    for round in 0..<3000 {
                        let sample = samples[(round * 7 + lane * 31) % samples.count]
                        let isHere = try store.chunks.holds(sample)
                        if keepers.contains(where: { $0.digest == sample.digest }) { #expect(isHere) }
                    }
                }
            }
            group.addTask {
                for _ in 0..<25 {
                    try store.chunks.sweep { keep in for sample in keepers { keep(sample.digest) } }
                    for sample in samples { try store.chunks.insert(sample) }
                }
            }
            try await group.waitForAll()
        }
        #expect(store.chunks.statistics.corrupt == 0)
    }

    @Test func aKillAfterASweepBringsNothingWrongBack() throws {
        var generator = Seeded("aKillAfterASweep")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let samples = Sample.some(300, &generator)
        for sample in samples { try store.chunks.insert(sample) }
        let kept = samples.filter { _ in generator.next() % 3 == 0 }
        try store.chunks.sweep { keep in for sample in kept { keep(sample.digest) } }
        for boot in ["", "another boot"] {
            let crashed = try TemporaryDirectory(copyOf: directory)
            if !boot.isEmpty { try Data(boot.utf8).write(to: URL(fileURLWithPath: crashed.path + "/store/state")) }
            let other = try crashed.open()
            for sample in kept { #expect(try other.chunks.holds(sample)) }
            for sample in samples where other.chunks.contains(sample.digest) { #expect(try other.chunks.holds(sample)) }
            #expect(other.chunks.statistics.corrupt == 0)
        }
    }
}
