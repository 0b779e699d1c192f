// SPDX-License-Identifier: Apache-2.0

import Content
import Objects
import Peers
import TestSupport
import Testing

@Suite("Copies and retention", .timeLimit(.minutes(3)))
struct KeepingTests {
    private func agents(_ count: UInt64) -> [AgentID] { (1...count).map { AgentID(high: $0, low: $0 &* 77) } }

    private func manifest(_ n: UInt8) -> Digest {
        [UInt8](repeating: n, count: 32).withUnsafeBytes { Digest($0) }
    }

    private func untilTrue(_ condition: () throws -> Bool) async throws {
        while try !condition() { try await Task.sleep(for: .milliseconds(10)) }
    }

    @Test("Agents that know the same choose as many copies as the rule says, and share the work")
    func choice() {
        let site = agents(9)
        let rule = KeepingRule(prefix: "ci", copies: 3)
        var load: [AgentID: Int] = [:]
        for n in 0..<200 as Range<UInt8> {
            let holders: Set = [site[Int(n) % 9]]
            let chosen = site.filter { rule.wantsCopy(of: manifest(n), own: $0, site: site, holders: holders) }
            #expect(chosen.count == 2)
            // One of the chosen goes: the other stays chosen, and one more takes the place of the first.
            let left = site.filter { $0 != chosen[0] }
            let again = left.filter { rule.wantsCopy(of: manifest(n), own: $0, site: left, holders: holders) }
            #expect(again.count == 2 && again.contains(chosen[1]))
            for agent in chosen { load[agent, default: 0] += 1 }
        }
        #expect(load.values.allSatisfy { $0 > 20 && $0 < 80 }, "400 copies: \(load.values.sorted())")
    }

    @Test("Another site takes copies only where a rule says so; what nobody alive holds is not asked for")
    func destinations() {
        let (here, there) = (agents(3), AgentID(high: 99, low: 99))
        let local = KeepingRule(prefix: "ci")
        let everywhere = KeepingRule(prefix: "ci", toAllSites: true)
        let choose = { (rule: KeepingRule, holders: Set<AgentID>) in
            here.filter { rule.wantsCopy(of: manifest(1), own: $0, site: here, holders: holders) }.count
        }
        #expect(choose(local, [there]) == 0 && choose(everywhere, [there]) == 2)
        #expect(choose(local, []) == 0 && choose(everywhere, []) == 0)
        #expect(choose(local, [here[0]]) == 1 && choose(local, [here[0], here[2]]) == 0)
    }

    @Test("The longest prefix is a key's rule, by whole components")
    func prefixes() throws {
        let rules = KeepingRules([
            KeepingRule(prefix: "ci", keep: 1), KeepingRule(prefix: "ci/app/images", keep: 3),
            KeepingRule(prefix: "ci/app", keep: 2),
        ])
        for (key, keep) in [
            ("ci/a", 1), ("ci/app", 1), ("ci/app/1", 2), ("ci/application/1", 1), ("ci/app/images/x/y", 3),
            ("other/a", nil),
        ] as [(String, Int?)] {
            #expect(rules.rule(for: try Key(key)).keep == keep, "\(key)")
        }
    }

    @Test("P6: what one agent published another of its site holds at once, and gives when the first is gone")
    func copiesAtOnce() async throws {
        let bytes = sample(9 << 20, seed: 31)
        let key = try Key("ci/app.tar")
        try await AgentFixture.run(name: "survivor", rules: KeepingRules()) { survivor in
            let address = try await survivor.address()
            try await AgentFixture.run(name: "publisher", peers: [address], rules: KeepingRules()) { publisher in
                try await untilTrue { publisher.sees(survivor) && survivor.sees(publisher) }
                try await publisher.put(key, bytes)
                try await untilTrue {
                    try survivor.cache.lookup(key) != nil && survivor.cache.status(of: key).replication == .shared
                }
                #expect(try survivor.cache.status(of: key).place == .local)
            }
            let entry = try #require(try survivor.cache.lookup(key))
            let isSame = try await survivor.read(entry) == bytes
            #expect(isSame)
        }
    }

    @Test("P6: copies that went with their agent are made again by another")
    func copiesAgain() async throws {
        var limits = Objects.Limits()
        limits.copyGrace = .milliseconds(120)
        let rules = KeepingRules()
        try await AgentFixture.run(name: "a", limits: limits, rules: rules) { [limits] a in
            let address = try await a.address()
            try await AgentFixture.run(name: "c", peers: [address], limits: limits, rules: rules) { c in
                let all = [address, try await c.address()]
                let keys = try (0..<24).map { try Key("ci/\($0).tar") }
                try await AgentFixture.run(name: "b", peers: all, limits: limits, rules: rules) { b in
                    try await untilTrue { a.sees(b) && b.sees(a) && c.sees(a) && a.sees(c) && c.sees(b) && b.sees(c) }
                    for (n, key) in keys.enumerated() { try await a.put(key, noise(20_000, seed: UInt64(60 + n))) }
                    try await untilTrue {
                        try keys.allSatisfy {
                            try b.cache.lookup($0) != nil && b.cache.status(of: $0).replication == .shared
                        }
                    }
                    // Each of the two was chosen for some: those of the one that goes are the other's from then on.
                    let mine = try keys.filter { try b.cache.status(of: $0).place == .local }.count
                    #expect(mine > 0 && mine < keys.count, "\(mine) of \(keys.count)")
                }
                try await untilTrue { try keys.allSatisfy { try c.cache.status(of: $0).place == .local } }
            }
        }
    }

    @Test("A rule sends what lies below its prefix to the other site at once, and nothing else")
    func allSites() async throws {
        let rules = KeepingRules([KeepingRule(prefix: "ci/images", toAllSites: true)])
        try await AgentFixture.run(site: "basement", links: [.init(site: "cloud", address: nil)], rules: rules) {
            here in
            let address = try await here.address()
            try await AgentFixture.run(
                site: "cloud", name: "b", links: [.init(site: "basement", address: address)], rules: rules
            ) { there in
                try await untilTrue { here.sees(there) && there.sees(here) }
                let (sent, kept) = (try Key("ci/images/1.tar"), try Key("ci/other/1.tar"))
                try await here.put(kept, sample(3 << 20, seed: 33))
                try await here.put(sent, sample(3 << 20, seed: 34))
                try await untilTrue {
                    try there.cache.lookup(sent) != nil && there.cache.status(of: sent).replication == .remote
                }
                #expect(try there.cache.status(of: sent).place == .local)
                #expect(try there.cache.status(of: kept).place == .remote)
            }
        }
    }

    @Test("A rule keeps the newest objects and what is pinned, and leaves other prefixes alone")
    func keepsNewest() async throws {
        let rules = KeepingRules([KeepingRule(prefix: "ci/app", keep: 2), KeepingRule(prefix: "ci/app/base")])
        var limits = Objects.Limits()
        limits.retentionPeriod = .milliseconds(20)
        try await AgentFixture.run(limits: limits, rules: rules) { agent in
            let keys = try (1...6).map { try Key("ci/app/\($0).tar") }
            let (base, other) = (try Key("ci/app/base/1"), try Key("ci/lib"))
            for key in [base, other] { try await agent.put(key, sample(100, seed: 1)) }
            try await agent.put(keys[0], sample(70_000, seed: 40))
            try agent.cache.pin(keys[0])
            for key in keys[1...] { try await agent.put(key, sample(70_000, seed: 41)) }
            try await untilTrue { try agent.cache.lookup(keys[3]) == nil }
            for (key, stays) in zip(keys, [true, false, false, false, true, true]) {
                #expect(try (agent.cache.lookup(key) != nil) == stays, "\(key)")
            }
            #expect(try agent.cache.lookup(base) != nil && agent.cache.lookup(other) != nil)
        }
    }

    @Test("What an agent publishes and pins stays, also where an agent of another site has the same rule")
    func keepsPinsOfOthers() async throws {
        let rules = KeepingRules([KeepingRule(prefix: "ci/app", keep: 1)])
        var limits = Objects.Limits()
        limits.retentionPeriod = .milliseconds(20)
        try await AgentFixture.run(
            site: "basement", links: [.init(site: "cloud", address: nil)], limits: limits, rules: rules
        ) { [limits] here in
            let address = try await here.address()
            try await AgentFixture.run(
                site: "cloud", name: "b", links: [.init(site: "basement", address: address)], limits: limits,
                rules: rules
            ) { there in
                try await untilTrue { here.sees(there) && there.sees(here) }
                for (publisher, other, name) in [(here, there, "x"), (there, here, "y")] {
                    let keys = try (1...3).map { try Key("ci/app/\(name)\($0)") }
                    try await publisher.put(keys[0], [1])
                    try publisher.cache.pin(keys[0])
                    for key in keys[1...] { try await publisher.put(key, [1]) }
                    try await untilTrue { try other.cache.lookup(keys[1]) == nil }
                    try await untilTrue { try other.cache.lookup(keys[2]) != nil }
                    #expect(try other.cache.lookup(keys[0]) != nil)
                }
            }
        }
    }

    @Test("What nobody reads for as long as its rule says is given up, small files by their age")
    func endsUnread() async throws {
        var limits = Objects.Limits()
        limits.retentionPeriod = .milliseconds(20)
        let rules = KeepingRules([KeepingRule(prefix: "ci/short", unread: .milliseconds(50))])
        try await AgentFixture.run(limits: limits, rules: rules) { agent in
            let gone = [try Key("ci/short/large"), try Key("ci/short/small")]
            let stays = try Key("ci/long")
            try await agent.put(stays, sample(90_000, seed: 51))
            for (key, size) in zip(gone, [90_000, 90]) { try await agent.put(key, sample(size, seed: 50)) }
            try await untilTrue { try gone.allSatisfy { try agent.cache.lookup($0) == nil } }
            #expect(try agent.cache.lookup(stays) != nil)
        }
    }

    @Test("At the limit of names the oldest go, and pinned ones stay")
    func endsOldest() async throws {
        var limits = Objects.Limits()
        limits.retentionPeriod = .milliseconds(20)
        limits.entryCount = 200
        try await AgentFixture.run(limits: limits) { agent in
            let keys = try (0..<200).map { try Key("ci/\($0)") }
            try await agent.put(keys[0], [0])
            try agent.cache.pin(keys[0])
            for key in keys[1...] { try await agent.put(key, [1]) }
            // Some may have gone while others came: below the part of the limit at which more go.
            try await untilTrue { try agent.cache.status().entries < 198 }
            #expect(try agent.cache.lookup(keys[0]) != nil && agent.cache.lookup(keys[1]) == nil)
            #expect(try agent.cache.lookup(keys[199]) != nil)
        }
    }
}

extension AgentFixture {
    fileprivate func sees(_ other: AgentFixture) -> Bool {
        peers.members().contains { $0.agent == other.peers.agent && $0.state == .alive }
    }
}
