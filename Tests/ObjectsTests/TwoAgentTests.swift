// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Objects
import Peers
import Storage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)))
struct TwoAgentTests {
    /// Runs two agents of one site, or two gateways of two sites, that know each other.
    private func pair(
        linked: Bool = true,
        _ body: @escaping @Sendable (_ source: AgentFixture, _ reader: AgentFixture) async throws -> Void
    ) async throws {
        try await AgentFixture.run(
            site: "basement",
            links: linked ? [.init(site: "cloud", address: nil)] : []
        ) { source in
            let address = try await source.address()
            try await AgentFixture.run(
                site: linked ? "cloud" : "basement",
                name: "b",
                peers: linked ? [] : [address],
                links: linked ? [.init(site: "basement", address: address)] : []
            ) { reader in
                while !reader.peers.members().contains(where: { $0.state == .alive })
                    || !source.peers.members().contains(where: { $0.state == .alive })
                {
                    try await Task.sleep(for: .milliseconds(20))
                }
                try await body(source, reader)
            }
        }
    }

    @Test(
        "P5: a new key is found elsewhere when its publication returned, and its bytes come lazily",
        arguments: [true, false])
    func readsAcross(linked: Bool) async throws {
        try await pair(linked: linked) { source, reader in
            let bytes = sample(12 << 20, seed: 21)
            let key = try Key("ci/app/1.tar")
            try await source.put(key, bytes)
            let entry = try #require(try reader.cache.lookup(key))
            #expect(try reader.cache.status(of: key).place == .remote)
            #expect(try await reader.read(entry) == bytes)
            #expect(try reader.cache.status(of: key).place == .local)
        }
    }

    @Test("P7: every chunk is fetched once however many readers wait")
    func fetchesOnce() async throws {
        try await pair { source, reader in
            let bytes = noise(16 << 20, seed: 22)
            let key = try Key("ci/hot")
            try await source.put(key, bytes)
            let entry = try #require(try reader.cache.lookup(key))
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<4 { group.addTask { try await reader.read(entry) == bytes } }
                for try await same in group { #expect(same) }
            }
            let fetched = try reader.cache.status().fetchedOverLinks
            #expect(fetched < UInt64(bytes.count) * 101 / 100 + 65_536, "\(fetched) bytes over the link")
        }
    }

    @Test("P1: who has read all of an object holds it, also where it had opened it before")
    func holdsWhatItRead() async throws {
        try await pair(linked: false) { source, reader in
            let bytes = noise(12 << 20, seed: 27)
            let entry = try await source.put(try Key("ci/read/twice"), bytes)
            let manifest = try #require(entry.manifest)
            let first = try reader.cache.open(try #require(try reader.cache.lookup(entry.key)))
            try await first.prepare(offset: 0, count: 1)
            first.close()
            // Forgotten, as by an agent that was started again: only the store knows what is here.
            while try reader.cache.status().objectsOpen > 0 { try await Task.sleep(for: .milliseconds(20)) }
            #expect(try await reader.read(entry) == bytes)
            while try !reader.store.catalog.holders(of: manifest).contains(reader.peers.agent) {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    @Test("A hint brings a whole object, and one for a key that does not exist waits for it")
    func hints() async throws {
        try await pair { source, reader in
            let key = try Key("ci/hinted")
            let early = await source.cache.hint(HintRequest(keys: [key]))
            #expect(early.map(\.state) == [.announced])
            let bytes = sample(10 << 20, seed: 23)
            try await source.put(key, bytes)
            while try reader.cache.lookup(key) == nil || reader.cache.status(of: key).place != .local {
                try await Task.sleep(for: .milliseconds(20))
            }
            let late = await source.cache.hint(HintRequest(keys: [key], sites: ["cloud"]))
            #expect(late.map(\.state) == [.present])
            let nowhere = await source.cache.hint(HintRequest(keys: [key], sites: ["mars"]))
            #expect(nowhere.map(\.state) == [.failed])
        }
    }

    @Test("wait returns when another agent publishes the key")
    func waits() async throws {
        try await pair { source, reader in
            let key = try Key("ci/awaited")
            async let waited = reader.cache.waitForEntry(key, limit: .seconds(30))
            try await source.put(key, [1, 2, 3])
            #expect(try await waited?.size == 3)
            #expect(try await reader.cache.waitForEntry(try Key("ci/never"), limit: .milliseconds(50)) == nil)
        }
    }

    @Test("P3: a reader across the link keeps its version while the key is overwritten and the source collects")
    func keepsVersionAcross() async throws {
        try await pair { source, reader in
            let key = try Key("ci/v")
            let old = noise(12 << 20, seed: 24)
            try await source.put(key, old)
            let open = try reader.cache.open(try #require(try reader.cache.lookup(key)))
            try await open.prepare(offset: 0, count: 1)
            try await source.put(key, noise(1 << 20, seed: 25))
            _ = try await source.cache.collect()
            #expect(try await reader.read(open) == old)
            open.close()
        }
    }

    @Test("P3: a gateway has another agent of its site keep what a reader across the link has open")
    func leasesReachThroughGateways() async throws {
        try await AgentFixture.run(
            site: "basement", name: "gateway", links: [.init(site: "cloud", address: nil)]
        ) { gateway in
            let address = try await gateway.address()
            try await AgentFixture.run(site: "basement", name: "holder", peers: [address]) { holder in
                try await AgentFixture.run(
                    site: "cloud", name: "reader", links: [.init(site: "basement", address: address)]
                ) { reader in
                    let key = try Key("ci/v")
                    let old = noise(6 << 20, seed: 26)
                    while reader.peers.members().allSatisfy({ $0.state != .alive })
                        || gateway.peers.members().filter({ $0.state == .alive }).count < 2
                        || holder.peers.members().allSatisfy({ $0.state != .alive })
                    {
                        try await Task.sleep(for: .milliseconds(20))
                    }
                    let entry = try await holder.put(key, old)
                    _ = try #require(try await reader.cache.waitForEntry(key, limit: .seconds(60)))
                    let open = try reader.cache.open(entry)
                    // The lease is asked for in the background.
                    while try holder.cache.status().leases == 0 || gateway.cache.status().leases == 0 {
                        try await Task.sleep(for: .milliseconds(20))
                    }
                    try await holder.cache.remove(key)
                    _ = try await holder.cache.collect()
                    #expect(try await reader.read(open) == old)
                    open.close()
                }
            }
        }
    }

    @Test("P6: a read whose source hangs ends with an error that says so")
    func stalls() async throws {
        var limits = Objects.Limits()
        limits.stall = .milliseconds(500)
        try await AgentFixture.run(limits: limits) { agent in
            let manifest = noise(32, seed: 5).withUnsafeBytes { Digest($0) }
            let entry = Entry(
                key: try Key("ci/nowhere"), version: agent.peers.directory.nextVersion(),
                body: .object(manifest: manifest, size: 1 << 20), metadata: Metadata(modified: 1))
            let reader = try agent.cache.open(entry)
            let error = await #expect(throws: ObjectError.self) { try await reader.prepare(offset: 0, count: 1) }
            #expect(error?.code == .unavailable)
            reader.close()
        }
    }
}
