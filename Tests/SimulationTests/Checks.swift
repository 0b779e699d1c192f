// SPDX-License-Identifier: Apache-2.0

import Content
import Peers

// What must be true.

extension World {
    /// P5: whom a publication waited for, and who was thought alive all the time, has it on disk.
    func checkAcknowledged(_ entry: Entry, by agent: SimulatedAgent, _ waitedFor: Set<AgentID>) {
        for other in agents where waitedFor.contains(other.id) && !other.hasLostPower && !other.isGone {
            guard !agent.isFarAhead(of: other) else { continue }
            let found = (try? other.replica.entry(entry.key)) ?? nil
            if found.map({ $0.version < entry.version }) ?? true {
                truth.fail("n\(agent.index)'s \(entry.key) was acknowledged and n\(other.index) does not have it")
            }
        }
    }

    /// Whether nobody lacks anything, as far as they know and in truth.
    var isConverged: Bool {
        let up = up
        guard let first = up.first, up.allSatisfy({ !$0.isBehind }) else { return false }
        guard let vector = try? first.replica.vector() else { return false }
        return up.allSatisfy { (try? $0.replica.vector()) == vector }
    }

    /// Who is behind or has other numbers than the first that is up.
    var differences: String {
        let first = (try? up.first?.replica.vector()) ?? [:]
        return up.compactMap { agent in
            let vector = (try? agent.replica.vector()) ?? [:]
            let keys = Set(vector.keys).union(first.keys).filter { vector[$0] != first[$0] }.sorted()
            guard agent.isBehind || !keys.isEmpty else { return nil }
            let numbers = keys.map { "n\($0.low - 1): \(vector[$0] ?? 0) and not \(first[$0] ?? 0)" }
            return "n\(agent.index) \(agent.isBehind ? "is behind" : "") \(numbers.joined(separator: ", "))"
        }.joined(separator: "; ")
    }

    /// All live replicas are equal, and are what the publications make of them.
    func checkDirectories() {
        guard let first = up.first else { return }
        for key in truth.keys.sorted() {
            let entry = try? first.replica.entry(key)
            for other in up.dropFirst() where (try? other.replica.entry(key)) != .some(entry) {
                truth.fail("n\(first.index) and n\(other.index) differ in \(key)")
            }
        }
        for manifest in truth.manifests.sorted() {
            let holders = try? first.replica.holders(of: manifest)
            for other in up.dropFirst() where (try? other.replica.holders(of: manifest)) != holders {
                truth.fail("n\(first.index) and n\(other.index) differ in the holders of \(manifest)")
            }
        }
        checkVersions(first)
        checkHoldings(first)
    }

    /// The highest version wins, a removal too.
    private func checkVersions(_ agent: SimulatedAgent) {
        for publication in truth.publications where !truth.isLosable(publication) {
            guard case .entry(let entry) = publication.change else { continue }
            let found = (try? agent.replica.entry(entry.key)) ?? nil
            if found.map({ $0.version < entry.version }) ?? true {
                truth.fail("\(entry.key) has \(found.map { "\($0.version)" } ?? "nothing") and not \(entry.version)")
            }
        }
    }

    /// Holdings are those of the agents' last words, and a key that nobody holds is gone (P1).
    private func checkHoldings(_ agent: SimulatedAgent) {
        var last: [Digest: [AgentID: (number: UInt64, isHeld: Bool)]] = [:]
        for publication in truth.publications where !truth.isLosable(publication) {
            let (manifest, isHeld): (Digest?, Bool) =
                switch publication.change {
                case .entry(let entry): (entry.manifest, true)
                case .holding(let manifest, let held): (manifest, held)
                }
            guard let manifest else { continue }
            if publication.number > last[manifest]?[publication.agent]?.number ?? 0 {
                last[manifest, default: [:]][publication.agent] = (publication.number, isHeld)
            }
        }
        for (manifest, words) in last {
            let holders = (try? agent.replica.holders(of: manifest)) ?? []
            let expected = words.filter(\.value.isHeld).keys.filter { truth.losable[$0] == nil }
            let found = holders.filter { truth.losable[$0] == nil }
            if Set(expected) != Set(found) {
                truth.fail("the holders of \(manifest) are \(found) and not \(expected.sorted())")
            }
            if holders.isEmpty, let key = (try? agent.replica.keys(of: manifest))?.first {
                truth.fail("P1: nobody holds \(key) and it is not removed")
            }
        }
    }

    /// Everybody knows that everybody of its site lives.
    var isAcquainted: Bool { strangers.isEmpty }

    /// Who does not know of whom that it lives; empty: everybody does.
    var strangers: String {
        var out: [String] = []
        for agent in up {
            let alive = Set(agent.replication.membership.all.filter { $0.state == .alive }.map(\.identity.agent))
            for other in up where other.site == agent.site && other !== agent && !alive.contains(other.id) {
                let state = agent.replication.membership.peer(other.id).map { "\($0.state)" } ?? "unknown"
                out.append("for n\(agent.index), n\(other.index) is \(state)")
            }
        }
        return out.joined(separator: ", ")
    }
}
