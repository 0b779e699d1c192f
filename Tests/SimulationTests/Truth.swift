// SPDX-License-Identifier: Apache-2.0

import Content
import Peers

/// What really happened in a run, and what went wrong in it.
struct Truth {
    private(set) var publications: [Publication] = []
    private(set) var failures: [String] = []
    /// Publications that a power loss took from their publisher, or that were on a node that is gone: nobody need have
    /// them. Per agent the numbers above which that is so, up to those that it gave afterwards.
    var losable: [AgentID: [ClosedRange<UInt64>]] = [:]

    /// Agents that somebody took for gone.
    var buried: Set<AgentID> = []

    mutating func fail(_ what: String) {
        // The first few say it all.
        if failures.count < 20 { failures.append(what) }
    }

    mutating func published(_ more: [Publication]) { publications += more }

    func isLosable(_ publication: Publication) -> Bool {
        (losable[publication.agent] ?? []).contains { $0.contains(publication.number) }
    }

    /// All keys that were ever published.
    var keys: Set<Key> {
        Set(publications.compactMap { if case .entry(let entry) = $0.change { entry.key } else { nil } })
    }

    /// All objects that were ever published.
    var manifests: Set<Digest> {
        Set(
            publications.compactMap {
                switch $0.change {
                case .entry(let entry): entry.manifest
                case .holding(let manifest, _): manifest
                }
            })
    }

    /// Whether one that is behind asked one that is ahead.
    mutating func pulled(by agent: SimulatedAgent, from address: PeerAddress, _ after: [AgentID: UInt64]) {
        guard let target = agent.world.agent(at: address.host), losable[target.id] == nil,
            let has = try? target.replica.vector()
        else { return }
        if !after.contains(where: { has[$0.key] ?? 0 > $0.value }) {
            fail("n\(agent.index) asked n\(target.index), which is not ahead of it")
        }
    }
}
