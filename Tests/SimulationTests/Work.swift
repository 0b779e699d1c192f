// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Peers

// What jobs and the collector do to the directory: the same publications as Objects makes.

extension SimulatedAgent {
    private static let metadata = Metadata(modified: 0)

    func newEntry(_ key: Key, _ body: Entry.Body) -> Entry {
        Entry(key: key, version: nextVersion(), body: body, metadata: SimulatedAgent.metadata)
    }

    /// One thing, as chance decides.
    func work(_ keys: [Key], _ serial: UInt64) {
        guard let key = world.dice.one(of: keys) else { return }
        switch world.dice.within(0...9) {
        case 0, 1: put(key, .inline([UInt8(truncatingIfNeeded: serial)]))
        case 2, 3: putObject(key, serial)
        case 4: remove(key)
        case 5, 6: fetch(key)
        case 7: evict()
        case 8: evictEverywhere(key)
        default: link(key, keys)
        }
    }

    func put(_ key: Key, _ body: Entry.Body, _ done: @escaping (Bool) -> Void = { _ in }) {
        let entry = newEntry(key, body)
        let waited = waitedFor
        let begun = beginWatch()
        publish([.entry(entry)]) { [self] isAcknowledged in
            let alive = endWatch(begun)
            if isAcknowledged { world.checkAcknowledged(entry, by: self, waited.intersection(alive)) }
            done(isAcknowledged)
        }
    }

    func putObject(_ key: Key, _ serial: UInt64) {
        let manifest = Digest.sha256(of: withUnsafeBytes(of: serial) { Array($0) })
        held.insert(manifest)
        put(key, .object(manifest: manifest, size: 1 << 20))
    }

    func remove(_ key: Key) {
        attempt {
            guard let old = try replica.entry(key), !old.isTombstone else { return }
            put(key, .tombstone)
        }
    }

    /// Fetches an object whole, where somebody who holds it can be reached.
    func fetch(_ key: Key) {
        attempt {
            guard let manifest = try replica.entry(key)?.manifest, !held.contains(manifest) else { return }
            let holders = Set(try replica.holders(of: manifest))
            let source = world.up.first { agent in
                holders.contains(agent.id) && agent.held.contains(manifest) && !world.network.isCut(place, agent.place)
            }
            guard source != nil else { return }
            held.insert(manifest)
            publish([.holding(manifest: manifest, held: true)])
        }
    }

    /// The same object under another key.
    func link(_ key: Key, _ keys: [Key]) {
        attempt {
            guard let entry = try replica.entry(key), let manifest = entry.manifest, held.contains(manifest),
                let other = world.dice.one(of: keys)
            else { return }
            put(other, entry.body)
        }
    }

    func evict() {
        if let manifest = world.dice.one(of: held.sorted()) { evict(manifest) }
    }

    /// All who hold the object of a key give it up at about the same time.
    func evictEverywhere(_ key: Key) {
        attempt {
            guard let manifest = try replica.entry(key)?.manifest else { return }
            for other in world.up where other.held.contains(manifest) {
                let before = other.life
                world.plan(after: world.dice.within(0...3000)) {
                    if other.life == before, other.held.contains(manifest) { other.evict(manifest) }
                }
            }
        }
    }

    /// Gives up an object; a key that nobody else holds goes with it (P1).
    func evict(_ manifest: Digest) {
        attempt {
            held.remove(manifest)
            var changes: [Publication.Change] = [.holding(manifest: manifest, held: false)]
            changes += Unheld.removals(
                of: try replica.keys(of: manifest).compactMap { try replica.entry($0) },
                by: id,
                holders: try replica.holders(of: manifest).filter { $0 != id },
                hasGivenUp: true
            )
            publish(changes)
        }
    }

    /// The live agents that a publication waits for now.
    private var waitedFor: Set<AgentID> {
        Set(replication.membership.all.filter { $0.state == .alive }.map(\.identity.agent))
    }
}
