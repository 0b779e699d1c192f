// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Storage
import Testing

/// Every crash leaves each chunk right or absent (P2, P4).
@Suite(.timeLimit(.minutes(5))) struct RecoveryTests {
    /// A store with some chunks closed into it, and more in an open one.
    private struct Case {
        let directory = try? TemporaryDirectory()
        let old: [Sample]
        let new: [Sample]
        let store: Store

        init(_ generator: inout Seeded) throws {
            let directory = try #require(directory)
            old = Sample.some(60, &generator)
            new = Sample.some(60, &generator)
            let first = try directory.open()
            for sample in old { try first.chunks.insert(sample) }
            try first.close()
            store = try directory.open()
            for sample in new { try store.chunks.insert(sample) }
        }

        /// A closed store with these chunks.
        static func closed(_ samples: [Sample]) throws -> TemporaryDirectory {
            let directory = try TemporaryDirectory()
            let store = try directory.open()
            for sample in samples { try store.chunks.insert(sample) }
            try store.close()
            return directory
        }

        func crashed() throws -> TemporaryDirectory { try TemporaryDirectory(copyOf: #require(directory)) }
    }

    /// The machine went down: nothing that was not synced is to be trusted.
    private func losePower(_ directory: TemporaryDirectory) throws {
        try Data("another boot".utf8).write(to: URL(fileURLWithPath: directory.path + "/store/state"))
    }

    @Test func everyInsertSurvivesAKill() throws {
        var generator = Seeded("everyInsertSurvivesAKill")
        let it = try Case(&generator)
        let store = try it.crashed().open()
        for sample in it.old + it.new { #expect(try store.chunks.holds(sample)) }
        #expect(store.chunks.statistics.chunks == 120)
        #expect(store.chunks.statistics.corrupt == 0)
    }

    @Test func aRecordWithoutASlotIsFoundAfterAKill() throws {
        var generator = Seeded("aRecordWithoutASlotIsFound")
        let it = try Case(&generator)
        let crashed = try it.crashed()
        // The index as it was before the new records: the process died between record and slot.
        let before = try Case.closed(it.old)
        try FileManager.default.removeItem(atPath: crashed.path + "/store/index")
        try FileManager.default.copyItem(atPath: before.path + "/store/index", toPath: crashed.path + "/store/index")
        let store = try crashed.open()
        for sample in it.new { #expect(try store.chunks.holds(sample)) }
    }

    @Test func aTornTailIsCutOffWhereverItTore() throws {
        var generator = Seeded("aTornTailIsCutOff")
        let it = try Case(&generator)
        for _ in 0..<12 {
            let crashed = try it.crashed()
            try losePower(crashed)
            let last = try #require(try crashed.segments.last)
            let whole = try size(of: last)
            let cut = UInt64.random(in: 0...min(whole, 60_000), using: &generator)
            truncate(last, off_t(whole - cut))
            let store = try crashed.open()
            let kept = try it.new.filter { try store.chunks.holds($0) }
            #expect(store.chunks.statistics.corrupt == 0)
            #expect(kept.count >= it.new.count - 60 && kept.count <= it.new.count)
            // What is missing can be stored again, and all of it is there after the next start.
            for sample in it.old + it.new where !store.chunks.contains(sample.digest) {
                try store.chunks.insert(sample)
            }
            try store.close()
            let again = try crashed.open()
            for sample in it.old + it.new { #expect(try again.chunks.holds(sample)) }
        }
    }

    @Test func aSlotWhoseRecordWasLostWithThePowerIsDropped() throws {
        var generator = Seeded("aSlotWhoseRecordWasLost")
        let it = try Case(&generator)
        let crashed = try it.crashed()
        try losePower(crashed)
        // The index came to the disk and the last segment's new records did not.
        let last = try #require(try crashed.segments.last)
        let from = try size(of: last) / 2
        try overwrite(last, at: from, with: [UInt8](repeating: 0, count: Int(try size(of: last) - from)))
        let store = try crashed.open()
        let absent = it.new.filter { !store.chunks.contains($0.digest) }
        #expect(!absent.isEmpty)
        for sample in it.old + it.new where store.chunks.contains(sample.digest) {
            #expect(try store.chunks.holds(sample))
        }
        #expect(store.chunks.statistics.corrupt == 0)
    }

    @Test func aLostIndexIsBuiltAgain() throws {
        var generator = Seeded("aLostIndexIsBuiltAgain")
        let it = try Case(&generator)
        let crashed = try it.crashed()
        try FileManager.default.removeItem(atPath: crashed.path + "/store/index")
        var store: Store? = try crashed.open()
        for sample in it.old + it.new { #expect(try store?.chunks.holds(sample) == true) }
        try store?.close()
        store = nil
        // Some tables damaged in different ways.
        try overwrite(crashed.path + "/store/index/00.idx", at: 0, with: [9])
        try overwrite(crashed.path + "/store/index/07.idx", at: 8, with: [200])
        truncate(crashed.path + "/store/index/33.idx", 5000)
        let again = try crashed.open()
        for sample in it.old + it.new { #expect(try again.chunks.holds(sample)) }
        #expect(again.chunks.statistics.chunks == 120)
    }

    @Test func anIndexOfGarbageServesNothingWrong() throws {
        var generator = Seeded("anIndexOfGarbage")
        let it = try Case(&generator)
        for _ in 0..<5 {
            let crashed = try it.crashed()
            for shard in 0..<64 {
                let path = crashed.path + "/store/index/" + (shard < 10 ? "0" : "") + "\(shard).idx"
                for _ in 0..<20 {
                    let at = UInt64.random(in: 24..<36_864, using: &generator)
                    try overwrite(path, at: at, with: generator.bytes(8))
                }
            }
            let store = try crashed.open()
            for sample in it.old + it.new { _ = try store.chunks.holds(sample) }
            for sample in it.old + it.new where !store.chunks.contains(sample.digest) {
                try store.chunks.insert(sample)
            }
            for sample in it.old + it.new { #expect(try store.chunks.holds(sample)) }
        }
    }

    @Test func garbageInTheMiddleCostsOnlyWhatItHit() throws {
        var generator = Seeded("garbageInTheMiddle")
        let it = try Case(&generator)
        for loses in [true, false] {
            let crashed = try it.crashed()
            try FileManager.default.removeItem(atPath: crashed.path + "/store/index")
            if loses { try losePower(crashed) }
            for path in try crashed.segments {
                let end = try size(of: path)
                guard end > 200_000 else { continue }
                try overwrite(path, at: .random(in: 0...end - 6000, using: &generator), with: generator.bytes(5000))
            }
            let store = try crashed.open()
            let kept = try (it.old + it.new).filter { try store.chunks.holds($0) }
            // Each hole of 5,000 bytes may touch a few records.
            #expect(kept.count >= 100, "\(kept.count) of 120 kept")
            #expect(store.chunks.statistics.corrupt == 0)
        }
    }

    @Test func aLostCatalogCostsNoChunk() throws {
        var generator = Seeded("aLostCatalogCostsNoChunk")
        let it = try Case(&generator)
        let crashed = try it.crashed()
        for name in try FileManager.default.contentsOfDirectory(atPath: crashed.path + "/store")
        where name.hasPrefix("catalog") {
            try FileManager.default.removeItem(atPath: crashed.path + "/store/" + name)
        }
        let store = try crashed.open()
        for sample in it.old + it.new { #expect(try store.chunks.holds(sample)) }
    }

    @Test func theSegmentsRememberTheSecret() throws {
        var generator = Seeded("theSegmentsRememberTheSecret")
        let it = try Case(&generator)
        let crashed = try it.crashed()
        try FileManager.default.removeItem(atPath: crashed.path + "/store/format")
        try overwrite(crashed.segments[0], at: 0, with: [UInt8](repeating: 0, count: 64))
        let store = try crashed.open()
        for sample in it.old + it.new { #expect(try store.chunks.holds(sample)) }
    }

    /// A cached file may hold what looks like a record; damage around it must not bring it to life.
    @Test func recordsWithinChunksAreNotBelieved() throws {
        var generator = Seeded("recordsWithinChunks")
        let (one, two) = (try TemporaryDirectory(), try TemporaryDirectory())
        let victim = Sample(&generator, count: 3000)
        let other = try one.open()
        // A whole, intact record of another store: the digest is the victim's, the bytes are not.
        let evil = generator.bytes(3000)
        try evil.withUnsafeBytes {
            _ = try other.chunks.insert(victim.digest, kind: .data, codec: .plain, rawLength: 3000, payload: $0)
        }
        try other.close()
        let bait = [UInt8](try Data(contentsOf: URL(fileURLWithPath: one.segments[0])))
        let store = try two.open()
        for pad in 0..<8 { try store.chunks.insert(Sample(generator.bytes(4096 + pad) + bait + generator.bytes(4096))) }
        try store.close()
        let segment = try two.segments[0]
        try overwrite(segment, at: 64, with: [UInt8](repeating: 0, count: 56))
        try FileManager.default.removeItem(atPath: two.path + "/store/index")
        let again = try two.open()
        #expect(try again.chunks.read(victim.digest) == nil)
    }

    @Test func aCleanStartChecksNothing() throws {
        var generator = Seeded("aCleanStartChecksNothing")
        let it = try Case(&generator)
        try it.store.close()
        let store = try #require(it.directory).open()
        #expect(store.chunks.statistics.aboveWatermarks == 0)
        #expect(store.chunks.statistics.chunks == 120)
    }

    @Test func killsAtAnyMomentLoseNothingThatWasInserted() async throws {
        var generator = Seeded("killsAtAnyMoment")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let samples = Sample.some(400, &generator)
        var inserted: [Sample] = []
        for (at, sample) in samples.enumerated() {
            try store.chunks.insert(sample)
            inserted.append(sample)
            if at % 97 == 0 { try store.chunks.sync() }
            guard at % 41 == 0 else { continue }
            let crashed = try TemporaryDirectory(copyOf: directory)
            let other = try crashed.open()
            for sample in inserted { #expect(try other.chunks.holds(sample)) }
            #expect(other.chunks.statistics.corrupt == 0)
        }
    }

    @Test("P4: after a power loss every entry is whole or gone, also one whose name reached the disk before its bytes")
    func wholeOrGone() throws {
        var generator = Seeded("wholeOrGone")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let agent = store.catalog.agent
        func publish(_ name: String, _ count: Int) throws -> Entry {
            let chunk = Sample(generator.bytes(count))
            let list = BlockList(chunks: [ChunkReference(digest: chunk.digest, length: UInt32(count))])
            let block = Sample(list.encoded())
            let manifest = Manifest(
                algorithm: 1, blocks: [BlockReference(digest: block.digest, length: UInt64(count))])
            let whole = Sample(manifest.encoded())
            try store.chunks.insert(chunk)
            try store.chunks.insert(block, kind: .blockList)
            try store.chunks.insert(whole, kind: .manifest)
            try store.catalog.recordObject(manifest: whole.digest, size: UInt64(count), whole: true)
            let entry = Entry(
                key: try Key("ci/" + name),
                version: Version(time: HybridTime(rawValue: UInt64(count)), agent: agent),
                body: .object(manifest: whole.digest, size: UInt64(count)),
                metadata: Metadata(modified: 0))
            _ = try store.catalog.publish([.entry(entry)], by: agent)
            return entry
        }
        let synced = try publish("synced", 20_000)
        try store.chunks.sync()
        let end = try size(of: try #require(try directory.segments.last))
        let unsynced = try publish("unsynced", 30_000)
        try store.catalog.sync()
        let crashed = try TemporaryDirectory(copyOf: directory)
        try losePower(crashed)
        truncate(try #require(try crashed.segments.last), off_t(end))
        let after = try crashed.open()
        #expect(try after.catalog.entry(synced.key) == synced)
        #expect(try after.chunks.hasWhole(try #require(synced.manifest)))
        #expect(try after.catalog.entry(unsynced.key)?.isTombstone == true)
        #expect(try after.catalog.object(try #require(unsynced.manifest)) == nil)
        #expect(try after.catalog.holders(of: try #require(unsynced.manifest)).isEmpty)
        // The same loss of power without the loss of bytes takes nothing.
        let lucky = try TemporaryDirectory(copyOf: directory)
        try losePower(lucky)
        #expect(try lucky.open().catalog.entry(unsynced.key) == unsynced)
    }
}
