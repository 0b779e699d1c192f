// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Peers
import Storage
import Testing

@Suite("Directory: published here, found there", .timeLimit(.minutes(5)))
struct DirectoryTests {
    @Test("P11: an agent alone publishes at once and believes its misses")
    func alone() async throws {
        let agent = try Agent("alone") { _ in }
        let entry = try await agent.publish("ci/x")
        #expect(try agent.directory.lookup(entry.key) == entry)
        #expect(agent.directory.absenceIsCertain())
    }

    @Test("P5: a key is found at a peer when its publication has returned, and observers saw it first")
    func foundAtPeer() async throws {
        let one = try Agent("one") { _ in }
        try await running([one]) {
            let address = try await one.address()
            let two = try Agent("two") { $0.peers = [address] }
            let seen = NIOLockedValueBox<[Key]>([])
            two.directory.observe { entries in seen.withLockedValue { $0 += entries.map(\.key) } }
            try await running([two]) {
                try await one.meets("two")
                try await two.meets("one")
                let entry = try await one.publish("ci/x")
                #expect(try two.directory.lookup(entry.key) == entry)
                #expect(seen.withLockedValue { $0 } == [entry.key])
                let back = try await two.publish("ci/y")
                #expect(try one.directory.lookup(back.key) == back)
                #expect(back.version > entry.version)
                try await eventually { one.directory.absenceIsCertain() && two.directory.absenceIsCertain() }
            }
        }
    }

    @Test("P5: what was published while a peer was away is there after it came back, deletions and holdings too")
    func repairedAfterAbsence() async throws {
        let one = try Agent("one") { _ in }
        let manifest = [UInt8](repeating: 7, count: 32).withUnsafeBytes { Digest($0) }
        let gone = try await one.publish("ci/gone")
        for number in 0..<2500 { try await one.publish("ci/many/\(number)") }
        try await one.publish("ci/object", .object(manifest: manifest, size: 1))
        try await one.publish("ci/gone", .tombstone)
        try await running([one]) {
            let address = try await one.address()
            let two = try Agent("two") { $0.peers = [address] }
            #expect(!two.directory.absenceIsCertain())
            try await running([two]) { () async throws in
                #expect(await two.directory.catchUp(timeout: .seconds(30)))
                #expect(try two.directory.lookup(Key("ci/many/0")) != nil)
                #expect(try two.directory.lookup(Key("ci/many/2499")) != nil)
                #expect(try two.directory.lookup(gone.key) == nil)
                #expect(try two.store.catalog.holders(of: manifest) == [one.service.agent])
                let sources = two.service.sources(for: manifest, level: .reader)
                #expect(sources.map(\.agent) == [one.service.agent])
                #expect(sources.map(\.level) == [.store])
            }
        }
    }

    @Test("An overwritten key has the highest version everywhere, whoever wrote it")
    func highestVersionEverywhere() async throws {
        let one = try Agent("one") { _ in }
        try await running([one]) {
            let address = try await one.address()
            let two = try Agent("two") { $0.peers = [address] }
            try await running([two]) {
                try await one.meets("two")
                try await two.meets("one")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for agent in [one, two] {
                        group.addTask { for round in 0..<50 { try await agent.publish("ci/k\(round % 5)") } }
                    }
                    try await group.waitForAll()
                }
                for round in 0..<5 {
                    let key = try Key("ci/k\(round)")
                    try await eventually { try one.directory.lookup(key) == two.directory.lookup(key) }
                }
            }
        }
    }

    @Test("P5: gateways hand on between two sites: a node behind one finds what a node behind the other published")
    func relayedBetweenSites() async throws {
        let west = try Agent("west", site: "basement") { $0.links = [.init(site: "cloud", address: nil)] }
        try await running([west]) {
            let westAddress = try await west.address()
            let east = try Agent("east", site: "cloud") {
                $0.links = [.init(site: "basement", address: westAddress)]
            }
            let node = try Agent("node", site: "basement") { $0.peers = [westAddress] }
            try await running([east, node]) {
                try await west.meets("east", "node")
                try await east.meets("west")
                try await node.meets("west")
                let there = try await node.publish("ci/from-node")
                #expect(try east.directory.lookup(there.key) == there)
                let back = try await east.publish("ci/from-east")
                #expect(try node.directory.lookup(back.key) == back)
                let manifest = [UInt8](repeating: 3, count: 32).withUnsafeBytes { Digest($0) }
                try await east.publish("ci/o", .object(manifest: manifest, size: 1))
                #expect(node.service.sources(for: manifest, level: .reader).map(\.kind) == [.gateway])
                #expect(west.service.sources(for: manifest, level: .gateway).map(\.kind) == [.link])
                #expect(west.service.sources(for: manifest, level: .site).isEmpty)
                try await eventually { node.service.isLinked(to: "cloud") }
            }
        }
    }

    @Test("A peer that dies is known to be down and costs nothing; it is found again when it returns")
    func deathIsKnown() async throws {
        let one = try Agent("one") { $0.limits.heartbeat = .milliseconds(300) }
        try await running([one]) {
            let address = try await one.address()
            let two = try Agent("two") { $0.peers = [address] }
            try await running([two]) { try await one.meets("two") }
            try await eventually { one.state(of: "two") == .dead }
            let entry = try await one.publish("ci/while-away")
            #expect(one.directory.absenceIsCertain())
            let reborn = try Agent("three") { $0.peers = [address] }
            try await running([reborn]) { () async throws in
                #expect(await reborn.directory.catchUp(timeout: .seconds(30)))
                #expect(try reborn.directory.lookup(entry.key) == entry)
            }
        }
    }

    @Test("A wait ends with the publication, here and at a peer, and with its time-out")
    func waitEnds() async throws {
        let one = try Agent("one") { _ in }
        try await running([one]) {
            let address = try await one.address()
            let two = try Agent("two") { $0.peers = [address] }
            try await running([two]) {
                try await one.meets("two")
                try await two.meets("one")
                let key = try Key("ci/later")
                #expect(await two.directory.waitForChange(of: key, timeout: .milliseconds(1)) == nil)
                async let found = two.directory.waitForChange(of: key, timeout: .seconds(30))
                let entry = try await one.publish("ci/later")
                #expect(await found == entry)
                #expect(await two.directory.waitForChange(of: key, timeout: .zero) == entry)
                #expect(await two.directory.waitForChange(of: key, since: entry.version, timeout: .zero) == nil)
            }
        }
    }

    @Test("Peers hear that a key settles, and that it no longer does when it is published")
    func settlingIsHeard() async throws {
        let one = try Agent("one") { $0.limits.settle = .seconds(60) }
        try await running([one]) {
            let address = try await one.address()
            let two = try Agent("two") {
                $0.peers = [address]
                $0.limits.settle = .seconds(60)
            }
            try await running([two]) {
                try await one.meets("two")
                try await two.meets("one")
                let key = try Key("ci/settling")
                one.directory.announceSettling([key], settling: true)
                #expect(one.directory.isSettling(key))
                try await eventually { two.directory.isSettling(key) }
                one.directory.announceSettling([key], settling: false)
                try await one.publish("ci/settling")
                #expect(!one.directory.isSettling(key))
                try await eventually { !two.directory.isSettling(key) }
            }
        }
    }

    @Test("A clock over 60 s ahead is refused until it is not")
    func driftIsRefused() async throws {
        let ahead = try Agent("ahead") { _ in }
        try await running([ahead]) {
            let address = try await ahead.address()
            let two = try Agent("two") { $0.peers = [address] }
            let far = Entry(
                key: try Key("ci/far"),
                version: Version(
                    time: HybridTime(milliseconds: WallClock.milliseconds() + 3_600_000),
                    agent: ahead.service.agent
                ),
                body: .inline([]),
                metadata: Metadata(modified: 0)
            )
            try await running([two]) {
                try await ahead.meets("two")
                _ = try await ahead.directory.publish([.entry(far)])
                #expect(try two.directory.lookup(far.key) == nil)
                let near = try await two.publish("ci/near")
                #expect(near.version < far.version)
                try await eventually { try ahead.directory.lookup(near.key) == near }
                #expect(try two.directory.lookup(far.key) == nil)
            }
        }
    }

    @Test("Hints go to the gateway of the other site, from behind the own one too, and its answer comes back")
    func hintsArrive() async throws {
        let west = try Agent("west", site: "basement") { $0.links = [.init(site: "cloud", address: nil)] }
        try await running([west]) {
            let westAddress = try await west.address()
            let east = try Agent("east", site: "cloud") {
                $0.links = [.init(site: "basement", address: westAddress)]
            }
            east.service.setHintHandler { hint in
                hint.keys.map { HintAnswer(site: "cloud", key: $0, size: 9, missing: 5, seconds: 1) }
            }
            let node = try Agent("node", site: "basement") { $0.peers = [westAddress] }
            try await running([east, node]) {
                try await node.meets("west")
                try await west.meets("east")
                let hint = Hint(keys: [try Key("ci/x")], priority: .hinted, deadline: 1)
                let answers = try await node.service.hint(hint)
                #expect(answers.map(\.missing) == [5])
                #expect(try await west.service.hint(hint, to: "cloud").count == 1)
                await #expect(throws: PeersError.self) { try await node.service.hint(hint, to: "moon") }
            }
        }
    }
}
