// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Objects
import Peers
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
}
