// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Peers
import Storage

/// What the tests of TLS and of rights do with two agents.
protocol SecurePair {}

extension SecurePair {
    /// Two agents that know each other's addresses: the second calls the first.
    func pair(
        _ one: Keyring?,
        _ two: Keyring?,
        sites: (String, String) = ("basement", "basement"),
        _ body: (Agent, Agent) async throws -> Void
    ) async throws {
        let first = try Agent("one", site: sites.0, keyring: one) {
            if sites.0 != sites.1 { $0.links = [PeersConfiguration.Link(site: sites.1, address: nil)] }
        }
        try await running([first]) {
            let address = try await first.address()
            let second = try Agent("two", site: sites.1, keyring: two) {
                $0.limits.credentials = .milliseconds(20)
                if sites.0 == sites.1 {
                    $0.peers = [address]
                } else {
                    $0.links = [PeersConfiguration.Link(site: sites.0, address: address)]
                }
            }
            try await running([second]) { try await body(first, second) }
        }
    }

    func failure(_ agent: Agent) -> String? { agent.service.members().compactMap(\.failure).first }

    func fails(_ agent: Agent, with words: String...) async throws {
        try await eventually { words.contains { failure(agent)?.contains($0) == true } }
    }

    func source(_ agent: Agent, _ level: FetchLevel = .store) async throws -> Source {
        Source(
            agent: agent.service.agent,
            name: "one",
            site: "basement",
            address: try await agent.address(),
            kind: .holder,
            level: level
        )
    }

    /// An object of one block in a store, and its key.
    func object(_ agent: Agent, _ key: String, _ contents: [[UInt8]]) async throws -> (Digest, [Digest]) {
        let chunks = try contents.map { ChunkReference(digest: try agent.insert($0), length: UInt32($0.count)) }
        let list = BlockList(chunks: chunks)
        let block = try agent.insert(list.encoded())
        let manifest = Manifest(algorithm: 1, blocks: [BlockReference(digest: block, length: list.length)])
        let digest = try agent.insert(manifest.encoded())
        try await agent.publish(key, .object(manifest: digest, size: manifest.size))
        return (digest, [digest, block] + chunks.map(\.digest))
    }

    func fetch(
        _ agent: Agent,
        _ manifest: Digest,
        _ digests: [Digest],
        from source: Source
    ) async throws -> (got: [Digest], absent: Set<Digest>) {
        var got: [Digest] = []
        let request = ChunkRequest(manifest: manifest, chunks: digests, level: .gateway, priority: .reader)
        let absent = try await agent.service.fetch(request, from: source) { got.append($0.digest) }
        return (got, absent)
    }
}
