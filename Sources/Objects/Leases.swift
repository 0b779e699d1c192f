// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Peers

/// Objects that are kept for readers elsewhere that have opened them before they were whole there (P3).
///
/// A lease belongs to the agent that asked; asking again renews it, asking for no time gives it back. A gateway that
/// lacks the object has another agent keep it, for as long as anybody asks it to.
final class Leases: Sendable {
    /// Leases at one time: as many objects as a thousand agents have open, sixty each.
    static let countMax = 65_536

    private struct Lease: Hashable {
        let manifest: Digest
        let agent: AgentID
    }

    private struct Terms {
        var until: ContinuousClock.Instant
        /// Who keeps it in our place; nil: it is kept here.
        var source: Source?
    }

    private let objects: OpenObjects
    private let peers: PeerService
    private let longest: Duration
    private let leases = NIOLockedValueBox<[Lease: Terms]>([:])

    init(objects: OpenObjects, peers: PeerService, longest: Duration) {
        self.objects = objects
        self.peers = peers
        self.longest = longest
    }

    /// Keeps an object for an agent, or ceases to where the duration is zero.
    ///
    /// - Returns: false where it is to be had neither here nor from anybody behind this gateway.
    func grant(_ manifest: Digest, for duration: Duration, to agent: AgentID) async -> Bool {
        let lease = Lease(manifest: manifest, agent: agent)
        guard duration > .zero else {
            await end(lease)
            return true
        }
        let duration = min(duration, longest)
        let until = ContinuousClock.now + duration
        if isWhole(manifest) { return keep(lease, Terms(until: until, source: nil)) }
        for source in peers.sourcesBehind(manifest, for: agent) {
            guard (try? await peers.lease(manifest, from: source, for: duration)) == true else { continue }
            return keep(lease, Terms(until: until, source: source))
        }
        return false
    }

    /// Ends the leases whose time is over. Who kept one in our place was asked to for the same time, so it need not be
    /// told: that could wait for an agent that does not answer.
    func expire(at now: ContinuousClock.Instant = .now) {
        let over = leases.withLockedValue { leases in
            let over = leases.filter { $0.value.until <= now }.map(\.key)
            for lease in over { leases[lease] = nil }
            return over
        }
        for lease in over { objects.release(lease.manifest) }
    }

    /// Leases at this time.
    var count: Int { leases.withLockedValue { $0.count } }

    private func isWhole(_ manifest: Digest) -> Bool {
        guard let object = try? objects.open(manifest) else { return false }
        defer { objects.close(object) }
        return object.isWhole
    }

    private func keep(_ lease: Lease, _ terms: Terms) -> Bool {
        // Kept first and let go after, so that a renewal leaves no moment between the two.
        objects.keep(lease.manifest)
        let (isGranted, isRenewal) = leases.withLockedValue { leases in
            guard leases.count < Leases.countMax || leases[lease] != nil else { return (false, false) }
            return (true, leases.updateValue(terms, forKey: lease) != nil)
        }
        if !isGranted || isRenewal { objects.release(lease.manifest) }
        return isGranted
    }

    private func end(_ lease: Lease) async {
        let (terms, isLast) = leases.withLockedValue { leases in
            let terms = leases.removeValue(forKey: lease)
            return (terms, terms?.source != nil && !leases.keys.contains { $0.manifest == lease.manifest })
        }
        guard let terms else { return }
        objects.release(lease.manifest)
        if isLast, let source = terms.source { _ = try? await peers.lease(lease.manifest, from: source, for: .zero) }
    }
}
