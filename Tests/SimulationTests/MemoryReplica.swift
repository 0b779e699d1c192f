// SPDX-License-Identifier: Apache-2.0

import Content
import Storage

/// The rules of the catalog, in memory.
final class MemoryReplica: Replica {
    struct Holding: Hashable {
        var isHeld: Bool
        var number: UInt64
    }

    /// What a disk keeps: a value, so that a power loss is to take an older one.
    struct Contents: Equatable {
        struct Row: Hashable {
            var entry: Entry
            var number: UInt64
        }

        var entries: [Key: Row] = [:]
        var holdings: [Digest: [AgentID: Holding]] = [:]
        var upTo: [AgentID: UInt64] = [:]
        var keys: [Digest: Set<Key>] = [:]
        var clock = HybridTime(rawValue: 0)
        /// Where the current changes of each publisher are.
        var entryAt: [AgentID: [UInt64: Key]] = [:]
        var holdingAt: [AgentID: [UInt64: Digest]] = [:]
    }

    let agent: AgentID
    private(set) var recoveredNumber: UInt64 = 0
    private(set) var contents = Contents()

    init(agent: AgentID) {
        self.agent = agent
        reopen()
    }

    func reopen() {
        recoveredNumber = contents.upTo[agent] ?? 0
        contents.upTo[agent] = recoveredNumber + Catalog.numberGap
    }

    /// The power failed and the disk has what it had before.
    func restore(_ earlier: Contents) { contents = earlier }

    func publish(_ changes: [Publication.Change]) -> [Publication] {
        var number = contents.upTo[agent] ?? 0
        var out: [Publication] = []
        for change in changes {
            if case .entry(let entry) = change, let old = contents.entries[entry.key],
                old.entry.version >= entry.version
            {
                continue
            }
            number += 1
            let publication = Publication(agent: agent, number: number, change: change)
            _ = apply(publication)
            out.append(publication)
        }
        contents.upTo[agent] = number
        return out
    }

    func apply(_ publications: [Publication], spans: [AgentID: PublicationSpan]) -> [Entry] {
        var won: [Entry] = []
        for publication in publications where apply(publication) {
            if case .entry(let entry) = publication.change { won.append(entry) }
        }
        for (agent, span) in spans {
            let current = contents.upTo[agent] ?? 0
            if span.after <= current, span.upTo > current { contents.upTo[agent] = span.upTo }
        }
        return won
    }

    private func apply(_ publication: Publication) -> Bool {
        switch publication.change {
        case .holding(let manifest, let held):
            hold(manifest, held, publication)
            return false
        case .entry(let entry):
            contents.clock = max(contents.clock, entry.version.time)
            if let manifest = entry.manifest { hold(manifest, true, publication) }
            if let old = contents.entries[entry.key] {
                guard old.entry.version < entry.version else { return false }
                contents.entryAt[old.entry.version.agent]?[old.number] = nil
                if let manifest = old.entry.manifest { contents.keys[manifest]?.remove(entry.key) }
            }
            contents.entries[entry.key] = Contents.Row(entry: entry, number: publication.number)
            contents.entryAt[publication.agent, default: [:]][publication.number] = entry.key
            if let manifest = entry.manifest { contents.keys[manifest, default: []].insert(entry.key) }
            return true
        }
    }

    private func hold(_ manifest: Digest, _ held: Bool, _ publication: Publication) {
        if let old = contents.holdings[manifest]?[publication.agent] {
            guard old.number < publication.number else { return }
            contents.holdingAt[publication.agent]?[old.number] = nil
        }
        contents.holdings[manifest, default: [:]][publication.agent] = Holding(
            isHeld: held,
            number: publication.number
        )
        contents.holdingAt[publication.agent, default: [:]][publication.number] = manifest
    }

    func vector() -> [AgentID: UInt64] { contents.upTo }

    func publications(
        of agent: AgentID, after: UInt64, limit: Int
    ) -> (publications: [Publication], upTo: UInt64) {
        guard let upTo = contents.upTo[agent] else { return ([], after) }
        let entries = contents.entryAt[agent] ?? [:]
        let holdings = contents.holdingAt[agent] ?? [:]
        var numbers = entries.keys.filter { $0 > after && $0 <= upTo }
        numbers += holdings.keys.filter { $0 > after && $0 <= upTo && entries[$0] == nil }
        numbers.sort()
        let publications = numbers.prefix(limit).compactMap { number -> Publication? in
            if let key = entries[number], let row = contents.entries[key] {
                return Publication(agent: agent, number: number, change: .entry(row.entry))
            }
            guard let manifest = holdings[number], let holding = contents.holdings[manifest]?[agent] else { return nil }
            return Publication(
                agent: agent, number: number, change: .holding(manifest: manifest, held: holding.isHeld)
            )
        }
        let cut = publications.count == limit ? publications.last?.number : nil
        return (publications, max(after, cut ?? upTo))
    }

    func entry(_ key: Key) -> Entry? { contents.entries[key]?.entry }
    func keys(of manifest: Digest) -> [Key] { (contents.keys[manifest] ?? []).sorted() }

    func holders(of manifest: Digest) -> [AgentID] {
        (contents.holdings[manifest] ?? [:]).filter(\.value.isHeld).keys.sorted()
    }

    func hasGivenUp(_ manifest: Digest) -> Bool { contents.holdings[manifest]?[agent]?.isHeld == false }

    func objects(heldOnlyBy agents: Set<AgentID>) -> [Digest] {
        contents.keys.filter { !$0.value.isEmpty }.keys.filter { manifest in
            let holders = holders(of: manifest)
            return !holders.isEmpty && holders.allSatisfy(agents.contains)
        }.sorted()
    }

    func skipNumber() -> UInt64 {
        let number = (contents.upTo[agent] ?? 0) + 1
        contents.upTo[agent] = number
        return number
    }

    func clock() -> HybridTime { contents.clock }
}
