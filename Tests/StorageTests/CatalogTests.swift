// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Logging
import NIOConcurrencyHelpers
import Storage
import Testing

/// A catalog in a directory of its own, removed with the value.
final class CatalogBox: Sendable {
    let path: String
    let catalog: Catalog

    init(wall: @escaping @Sendable () -> UInt64 = { 1_000_000 }) throws {
        path = NSTemporaryDirectory() + "larder-catalog-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        catalog = try Catalog.open(path: path, logger: Logger(label: "test"), wall: wall)
    }

    func reopened() throws -> Catalog {
        try catalog.close()
        return try Catalog.open(path: path, logger: Logger(label: "test"))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

private func digest(_ byte: UInt8) -> Digest {
    [UInt8](repeating: byte, count: 32).withUnsafeBytes { Digest($0) }
}

private func entry(
    _ key: String,
    _ time: UInt64,
    _ agent: AgentID,
    _ body: Entry.Body = .inline([1])
) throws -> Entry {
    Entry(
        key: try Key(key),
        version: Version(time: HybridTime(rawValue: time), agent: agent),
        body: body,
        metadata: Metadata(modified: 0)
    )
}

@Suite("Catalog: names, holdings and records of one store")
struct CatalogTests {
    @Test("What was published is found, after a reopening too, and the agent keeps its id")
    func publishedIsFound() throws {
        let box = try CatalogBox()
        let agent = box.catalog.agent
        let one = try entry("ci/a/b/one", 1, agent, .object(manifest: digest(1), size: 7))
        let published = try box.catalog.publish([.entry(one)], by: agent)
        #expect(published.count == 1)
        try box.catalog.sync()
        let again = try box.reopened()
        #expect(again.agent == agent)
        #expect(try again.entry(one.key) == one)
        #expect(try again.holders(of: digest(1)) == [agent])
        #expect(try again.keys(of: digest(1)) == [one.key])
        #expect(try again.clock() == HybridTime(rawValue: 1))
    }

    @Test("A number is never used twice: an opening skips those that a power loss may have forgotten")
    func numbersAreNeverReused() throws {
        let box = try CatalogBox()
        let agent = box.catalog.agent
        let first = try box.catalog.publish([.entry(try entry("ci/x", 1, agent))], by: agent)
        let again = try box.reopened()
        #expect(again.recoveredNumber == first.last?.number)
        let second = try again.publish([.entry(try entry("ci/y", 2, agent))], by: agent)
        #expect(try #require(second.first?.number) > again.recoveredNumber + Catalog.numberGap)
    }

    @Test("The higher version wins, and a lower or equal one changes nothing and is not published")
    func higherVersionWins() throws {
        let box = try CatalogBox()
        let agent = box.catalog.agent
        let new = try entry("ci/x", 5, agent)
        #expect(try box.catalog.publish([.entry(new)], by: agent).count == 1)
        #expect(try box.catalog.publish([.entry(try entry("ci/x", 4, agent, .directory))], by: agent).isEmpty)
        #expect(try box.catalog.publish([.entry(new)], by: agent).isEmpty)
        #expect(try box.catalog.entry(new.key) == new)
    }

    @Test("Changes that follow from what was seen are published where it is still so, all of them or none")
    func changesFollowFromWhatWasSeen() throws {
        let box = try CatalogBox()
        let agent = box.catalog.agent
        let (old, new) = (try entry("ci/x", 1, agent), try entry("ci/y", 5, agent))
        let gone = try entry("ci/x", 6, agent, .tombstone)
        func rename(_ seen: ChangeGroup.Seen...) throws -> [Publication]? {
            try box.catalog.publish(groups: [ChangeGroup([.entry(new), .entry(gone)], seen: seen)], by: agent)[0]
        }
        #expect(try rename(.init(old.key, old.version)) == nil, "it is not there yet")
        _ = try box.catalog.publish([.entry(old)], by: agent)
        #expect(try rename(.init(old.key, new.version)) == nil)
        #expect(try rename(.init(old.key, old.version), .init(new.key, old.version)) == nil)
        #expect(try rename(.init(old.key, nil)) == nil)
        #expect(try box.catalog.entry(new.key) == nil)
        #expect(try rename(.init(old.key, old.version), .init(new.key, nil))?.count == 2)
        #expect(try rename(.init(old.key, old.version)) == nil, "it was removed")
        #expect(try rename(.init(old.key, nil)) != nil)
    }

    @Test("Directories are implied by live keys below them and go with the last one")
    func directoriesAreImplied() throws {
        let box = try CatalogBox()
        let agent = box.catalog.agent
        let catalog = box.catalog
        _ = try catalog.publish(
            [.entry(try entry("ci/a/b/c", 1, agent)), .entry(try entry("ci/a/d", 2, agent))],
            by: agent
        )
        #expect(try catalog.isDirectory("ci"))
        #expect(try catalog.isDirectory("ci/a"))
        #expect(try catalog.isDirectory("ci/a/b"))
        #expect(try !catalog.isDirectory("ci/a/d"))
        #expect(try !catalog.isDirectory("ci/z"))
        _ = try catalog.publish([.entry(try entry("ci/a/b/c", 3, agent, .tombstone))], by: agent)
        #expect(try !catalog.isDirectory("ci/a/b"))
        #expect(try catalog.isDirectory("ci/a"))
        _ = try catalog.publish([.entry(try entry("ci/a/d", 4, agent, .tombstone))], by: agent)
        #expect(try !catalog.isDirectory("ci/a"))
        _ = try catalog.publish([.entry(try entry("ci/e", 5, agent, .directory))], by: agent)
        #expect(try catalog.isDirectory("ci/e"))
    }

    @Test("What a key named before is known, the latest four, and what its neighbours name, the latest first")
    func former() throws {
        let box = try CatalogBox()
        let catalog = box.catalog
        for number in 1...7 {
            let body = Entry.Body.object(manifest: digest(UInt8(number)), size: UInt64(number))
            _ = try catalog.publish(
                [.entry(try entry("ci/app/a", UInt64(number), catalog.agent, body))], by: catalog.agent)
        }
        let key = try Key("ci/app/a")
        #expect(try catalog.formerManifests(of: key) == [6, 5, 4, 3].map(digest))
        // The same object again is no former one of itself.
        let same = Entry.Body.object(manifest: digest(7), size: 7)
        _ = try catalog.publish([.entry(try entry("ci/app/a", 8, catalog.agent, same))], by: catalog.agent)
        #expect(try catalog.formerManifests(of: key) == [6, 5, 4, 3].map(digest))
        let other = Entry.Body.object(manifest: digest(9), size: 9)
        _ = try catalog.publish([.entry(try entry("ci/app/b", 9, catalog.agent, other))], by: catalog.agent)
        _ = try catalog.publish([.entry(try entry("ci/other/c", 10, catalog.agent, other))], by: catalog.agent)
        let latest = try catalog.latestObjects(in: "ci/app", limit: 5)
        #expect(latest.map(\.manifest) == [9, 7].map(digest) && latest.map(\.size) == [9, 7])
        _ = try catalog.publish([.entry(try entry("ci/app/a", 11, catalog.agent, .tombstone))], by: catalog.agent)
        #expect(try catalog.formerManifests(of: key) == [7, 6, 5, 4].map(digest))
        _ = try catalog.prune(olderThan: 1 << 40)
        #expect(try catalog.formerManifests(of: key).isEmpty)
    }

    @Test("Children come in the order of their bytes, entries and implied directories, page by page")
    func childrenAreMerged() throws {
        let box = try CatalogBox()
        let agent = box.catalog.agent
        let keys = ["ci/b", "ci/a/x", "ci/c/y", "ci/é", "ci/c", "ci/d/1/2", "ci/gone"]
        for (time, key) in keys.enumerated() {
            _ = try box.catalog.publish([.entry(try entry(key, UInt64(time + 1), agent))], by: agent)
        }
        _ = try box.catalog.publish([.entry(try entry("ci/gone", 100, agent, .tombstone))], by: agent)
        let all = try box.catalog.children(of: "ci", after: nil, limit: 100)
        #expect(all.map(\.name) == ["a", "b", "c", "d", "é"])
        #expect(all.map { $0.entry == nil } == [true, false, false, true, false])
        var paged: [Child] = []
        while true {
            let page = try box.catalog.children(of: "ci", after: paged.last?.name, limit: 2)
            if page.isEmpty { break }
            paged += page
        }
        #expect(paged == all)
        #expect(try box.catalog.list(prefix: "ci/", after: nil, limit: 10).map(\.key.text).count == 6)
        #expect(try box.catalog.list(prefix: "ci/c", after: nil, limit: 10).map(\.key.text) == ["ci/c", "ci/c/y"])
        let after = try box.catalog.list(prefix: "ci/c", after: Key("ci/c"), limit: 10)
        #expect(after.map(\.key.text) == ["ci/c/y"])
    }

    @Test("Publications are told in order, replaced ones close their gap, and a cut says up to where it is complete")
    func publicationsAreTold() throws {
        let box = try CatalogBox()
        let agent = box.catalog.agent
        let start = try #require(box.catalog.vector()[agent])
        for time in 1...4 as ClosedRange<UInt64> {
            _ = try box.catalog.publish([.entry(try entry("ci/\(time % 2)", time, agent))], by: agent)
        }
        _ = try box.catalog.publish([.holding(manifest: digest(9), held: true)], by: agent)
        let (all, upTo) = try box.catalog.publications(of: agent, after: start, limit: 10)
        #expect(all.map(\.number) == [start + 3, start + 4, start + 5])
        #expect(upTo == start + 5)
        let (cut, cutUpTo) = try box.catalog.publications(of: agent, after: start, limit: 2)
        #expect(cut == Array(all.prefix(2)))
        #expect(cutUpTo == start + 4)
    }

    @Test("A gapless number rises only where a span begins at or below it")
    func gapsDoNotCount() throws {
        let box = try CatalogBox()
        let other = AgentID(high: 1, low: 1)
        let late = Publication(agent: other, number: 5, change: .entry(try entry("ci/x", 1, other)))
        _ = try box.catalog.apply([late], spans: [other: PublicationSpan(after: 3, upTo: 5)])
        #expect(try box.catalog.entry(Key("ci/x")) != nil)
        #expect(try box.catalog.vector()[other] == nil)
        let applied = try box.catalog.apply([], spans: [other: PublicationSpan(after: 0, upTo: 5)])
        #expect(applied.advanced == [other])
        #expect(try box.catalog.vector()[other] == 5)
    }

    @Test("Holdings follow the numbers of their agent, in whatever order they arrive")
    func holdingsFollowNumbers() throws {
        let box = try CatalogBox()
        let other = AgentID(high: 1, low: 1)
        let spans = [other: PublicationSpan(after: 0, upTo: 3)]
        let ended = Publication(agent: other, number: 3, change: .holding(manifest: digest(1), held: false))
        let begun = Publication(agent: other, number: 2, change: .holding(manifest: digest(1), held: true))
        _ = try box.catalog.apply([ended, begun], spans: spans)
        #expect(try box.catalog.holders(of: digest(1)).isEmpty)
        let told = try box.catalog.publications(of: other, after: 0, limit: 10).publications
        #expect(told == [ended])
    }

    @Test("Tombstones are pruned when they are old, and only they")
    func tombstonesArePruned() throws {
        let box = try CatalogBox()
        let agent = box.catalog.agent
        let old = HybridTime(milliseconds: 1000).rawValue
        let new = HybridTime(milliseconds: 5000).rawValue
        _ = try box.catalog.publish(
            [
                .entry(try entry("ci/old", old, agent, .tombstone)),
                .entry(try entry("ci/new", new, agent, .tombstone)),
                .entry(try entry("ci/live", old, agent)),
            ],
            by: agent
        )
        #expect(try box.catalog.prune(olderThan: 2000) == 1)
        #expect(try box.catalog.entry(Key("ci/old")) == nil)
        #expect(try box.catalog.entry(Key("ci/new"))?.isTombstone == true)
        #expect(try box.catalog.entry(Key("ci/live")) != nil)
    }

    @Test("Object records go from cold to warm; pins, watermarks and numbers are kept")
    func recordsAreKept() throws {
        let now = NIOLockedValueBox<UInt64>(1)
        let box = try CatalogBox(wall: { now.withLockedValue { $0 } })
        for byte in 1...3 as ClosedRange<UInt8> {
            now.withLockedValue { $0 = UInt64(byte) }
            try box.catalog.recordObject(manifest: digest(byte), size: .max, whole: byte != 2)
        }
        try box.catalog.touch([(digest(1), 9)])
        let cold = try box.catalog.coldest(limit: 10)
        #expect(cold.map(\.manifest) == [digest(2), digest(3), digest(1)])
        #expect(cold.map(\.isWhole) == [false, true, true])
        #expect(cold.allSatisfy { $0.size == .max })
        #expect(try box.catalog.coldest(limit: 10, after: cold[1]).map(\.manifest) == [digest(1)])
        #expect(try box.catalog.forgetObject(digest(2)))
        #expect(try box.catalog.object(digest(2)) == nil)
        #expect(try box.catalog.pin(Key("ci/x")))
        #expect(try !box.catalog.pin(Key("ci/x")))
        #expect(try box.catalog.pins() == [Key("ci/x")])
        #expect(try box.catalog.unpin(Key("ci/x")))
        try box.catalog.setWatermarks([1: 10, .max: .max])
        try box.catalog.setWatermarks([.max: .max])
        #expect(try box.catalog.watermarks() == [.max: .max])
        try box.catalog.setInteger("epoch", .max)
        #expect(try box.catalog.integer("epoch") == .max)
        #expect(try box.catalog.integer("none") == nil)
    }
}

@Suite("Catalog: what is evicted")
struct CatalogEvictionTests {
    private let manifest = digest(9)

    @Test("P1: a key whose last copy goes is removed, at the version next to its own, so that what is newer wins")
    func lastCopy() throws {
        let box = try CatalogBox()
        let (agent, other) = (box.catalog.agent, AgentID(high: 1, low: 2))
        let old = try entry("ci/x", 1000, agent, .object(manifest: manifest, size: 7))
        _ = try box.catalog.publish([.entry(old)], by: agent)
        try box.catalog.recordObject(manifest: manifest, size: 7, whole: true)
        let result = try box.catalog.evict([manifest], by: agent, sparingPinned: true)
        #expect(result.evicted == [manifest] && result.publications.count == 2)
        let tombstone = try #require(try box.catalog.entry(old.key))
        #expect(tombstone.isTombstone && tombstone.version.time == HybridTime(rawValue: 1001))
        #expect(try box.catalog.object(manifest) == nil)
        // Published elsewhere before the eviction was known there, and by a clock that is behind ours by now.
        let newer = try entry("ci/x", 1002, other)
        let applied = try box.catalog.apply(
            [Publication(agent: other, number: 1, change: .entry(newer))],
            spans: [other: PublicationSpan(after: 0, upTo: 1)])
        #expect(applied.won == [newer])
    }

    @Test("What a pinned key names stays, and a key that others hold keeps its entry")
    func sparesPinned() throws {
        let box = try CatalogBox()
        let (agent, other) = (box.catalog.agent, AgentID(high: 1, low: 2))
        let old = try entry("ci/x", 1000, agent, .object(manifest: manifest, size: 7))
        _ = try box.catalog.publish([.entry(old)], by: agent)
        try box.catalog.recordObject(manifest: manifest, size: 7, whole: true)
        try box.catalog.pin(old.key)
        #expect(try box.catalog.evict([manifest], by: agent, sparingPinned: true).evicted.isEmpty)
        try box.catalog.unpin(old.key)
        _ = try box.catalog.apply(
            [Publication(agent: other, number: 1, change: .holding(manifest: manifest, held: true))],
            spans: [other: PublicationSpan(after: 0, upTo: 1)])
        #expect(try box.catalog.evict([manifest], by: agent, sparingPinned: true).evicted == [manifest])
        #expect(try box.catalog.entry(old.key) == old)
        #expect(try box.catalog.holders(of: manifest) == [other])
    }
}

@Suite("Catalog: replicas converge")
struct CatalogConvergenceTests {
    /// SplitMix64: small, and the same on every machine.
    struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }
    }

    @Test("Whatever was published where and repaired in whatever order, all replicas end equal", arguments: 0..<4)
    func replicasConverge(round: Int) throws {
        let seed = UInt64.random(in: .min ... .max)
        print("seed of round \(round): \(seed)")
        var random = Random(state: seed)
        let boxes = try (0..<3).map { _ in try CatalogBox() }
        var time: UInt64 = 0
        for _ in 0..<150 {
            let at = boxes[Int.random(in: 0..<3, using: &random)].catalog
            if Bool.random(using: &random) {
                time += UInt64.random(in: 0...1, using: &random)
                let key = "ci/\(Int.random(in: 0..<3, using: &random))/\(Int.random(in: 0..<4, using: &random))"
                let manifest = digest(UInt8.random(in: 0..<4, using: &random))
                let body: Entry.Body = Bool.random(using: &random) ? .tombstone : .object(manifest: manifest, size: 1)
                let change: Publication.Change =
                    UInt8.random(in: 0..<4, using: &random) == 0
                    ? .holding(manifest: manifest, held: Bool.random(using: &random))
                    : .entry(try entry(key, time, at.agent, body))
                _ = try at.publish([change], by: at.agent)
            } else {
                let from = boxes[Int.random(in: 0..<3, using: &random)].catalog
                try repair(at, from, limit: Int.random(in: 1...3, using: &random))
            }
        }
        for _ in 0..<3 {
            for at in boxes { for from in boxes { try repair(at.catalog, from.catalog, limit: 1000) } }
        }
        let first = try state(boxes[0].catalog)
        for box in boxes { #expect(try state(box.catalog) == first, "seed \(seed)") }
    }

    /// Asks `from` for what `at` lacks, as an agent does; the answer is cut at the limit.
    private func repair(_ at: Catalog, _ from: Catalog, limit: Int) throws {
        let have = try at.vector()
        for (agent, number) in try from.vector() where agent != at.agent && number > have[agent] ?? 0 {
            let after = have[agent] ?? 0
            let (publications, upTo) = try from.publications(of: agent, after: after, limit: limit)
            _ = try at.apply(publications, spans: [agent: PublicationSpan(after: after, upTo: upTo)])
        }
    }

    private func state(_ catalog: Catalog) throws -> [String] {
        var out: [String] = []
        for parent in ["ci", "ci/0", "ci/1", "ci/2"] {
            out += try catalog.children(of: parent, after: nil, limit: 100).map { "\(parent): \($0)" }
        }
        for byte in 0..<4 as Range<UInt8> { out.append("\(try catalog.holders(of: digest(byte)))") }
        out += try catalog.vector().sorted { $0.key < $1.key }.map { "\($0)" }
        return out
    }
}
