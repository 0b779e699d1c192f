// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Objects
import Peers
import TestSupport
import Testing

@Suite("Many nodes of a site read one object of another at once", .serialized, .timeLimit(.minutes(2)))
struct FanOutTests {
    /// A source, a gateway of the other site, and three nodes that reach the gateway by way of a proxy.
    private func site(
        _ body: @escaping @Sendable (AgentFixture, _ nodes: [AgentFixture], TamperingProxy) async throws -> Void
    ) async throws {
        try await AgentFixture.run(site: "basement", links: [.init(site: "cloud", address: nil)]) { source in
            let link = [PeersConfiguration.Link(site: "basement", address: try await source.address())]
            try await AgentFixture.run(site: "cloud", name: "gateway", links: link) { gateway in
                let proxy = try TamperingProxy(before: try await gateway.address())
                defer { proxy.stop() }
                try await node("n1", [proxy.address]) { one in
                    let first = [proxy.address, try await one.address()]
                    try await node("n2", first) { two in
                        try await node("n3", first + [try await two.address()]) { three in
                            let nodes = [one, two, three]
                            for agent in nodes + [gateway] {
                                let others = agent.peers.agent == gateway.peers.agent ? nodes.count + 1 : nodes.count
                                while agent.peers.members().count(where: { $0.state == .alive }) < others {
                                    try await Task.sleep(for: .milliseconds(20))
                                }
                            }
                            while source.peers.members().allSatisfy({ $0.state != .alive }) {
                                try await Task.sleep(for: .milliseconds(20))
                            }
                            try await body(source, nodes, proxy)
                        }
                    }
                }
            }
        }
    }

    private func node(
        _ name: String, _ peers: [PeerAddress], _ body: @escaping @Sendable (AgentFixture) async throws -> Void
    ) async throws {
        try await AgentFixture.run(site: "cloud", name: name, peers: peers, body)
    }

    @Test("P7: the gateway gives every block away about once, its owner gives it to the others")
    func owners() async throws {
        try await site { source, nodes, proxy in
            let bytes = noise(24 << 20, seed: 51)
            let key = try Key("ci/hot")
            let entry = try await source.put(key, bytes)
            let before = proxy.passed
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for node in nodes {
                    group.addTask {
                        _ = try await node.cache.waitForEntry(key, limit: .seconds(60))
                        return try await node.read(entry) == bytes
                    }
                }
                for try await same in group { #expect(same) }
            }
            let passed = proxy.passed - before
            #expect(passed < bytes.count * 3 / 2, "the gateway gave \(passed) bytes for \(bytes.count)")
        }
    }

    @Test("P6: where owners cannot give anything, the gateway does")
    func withoutOwners() async throws {
        try await site { source, nodes, proxy in
            let bytes = noise(6 << 20, seed: 52)
            let key = try Key("ci/hot")
            let entry = try await source.put(key, bytes)
            _ = try await nodes[0].cache.waitForEntry(key, limit: .seconds(60))
            // They still answer, and fetch nothing for others any more.
            for node in nodes.dropFirst() { node.peers.setProvider(Refusing()) }
            #expect(try await nodes[0].read(entry) == bytes)
        }
    }
}

private struct Refusing: ChunkProvider {
    func makeAvailable(_ request: ChunkRequest) async throws { throw CancellationError() }
}
