// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

// Hints go to the gateway of the site that they are for: by the own gateway where this agent is none.

extension PeerService {
    /// Tells a site what will be read there soon.
    ///
    /// - Parameter site: nil: every other site to which a link is held. The own site's name: its gateway's handler,
    ///   or this agent's where there is none.
    /// - Returns: per key what is missing there and when it will not be.
    /// - Throws: ``PeersError`` `unavailable` where no way leads there now.
    public func hint(_ hint: Hint, to site: String? = nil) async throws -> [HintAnswer] {
        if let site { return try await deliver(hint, to: site, hops: 0) }
        let gateways = replicator.members.filter { $0.state == .alive && $0.identity.site == configuration.site }
        let own = configuration.isGateway ? configuration.links.map(\.site) : []
        let sites = Set(own + gateways.flatMap(\.identity.links)).subtracting([configuration.site])
        guard !sites.isEmpty else { throw PeersError(.unavailable, "no link to another site is known") }
        var answers: [HintAnswer] = []
        var last: (any Error)?
        for site in sites.sorted() {
            do {
                answers += try await deliver(hint, to: site, hops: 0)
            } catch let error as CancellationError {
                throw error
            } catch {
                last = error
            }
        }
        if let last, answers.isEmpty, !hint.keys.isEmpty { throw last }
        return answers
    }

    /// Hands a hint to the handler here or to the next agent on its way.
    func deliver(_ hint: Hint, to site: String, hops: UInt8) async throws -> [HintAnswer] {
        let next = replicator.members.first { peer in
            guard peer.state == .alive else { return false }
            if configuration.isGateway { return peer.identity.site == site && site != configuration.site }
            return peer.identity.isGateway && peer.identity.site == configuration.site
                && (site == configuration.site || peer.identity.links.contains(site))
        }
        if site == configuration.site, next == nil || hops > 0 {
            guard let handler = state.withLockedValue({ $0.hintHandler }) else {
                throw PeersError(.unavailable, "nobody acts on hints here yet")
            }
            return await handler(hint)
        }
        guard let next else {
            throw PeersError(.unavailable, "no way leads to site '\(site)' now; see `larder status`")
        }
        do {
            let body = hint.encoded(site: site, hops: hops)
            count(.sent, body.count, site: next.identity.site)
            let answer = try await client().post(Wire.hints, body, to: next.address, limit: limits.silence)
            count(.received, answer.count, site: next.identity.site)
            return try HintAnswer.decode(answer)
        } catch let failure as PeerFailure {
            throw failure.error
        } catch let error as ContentError {
            throw PeersError(.lying, "\(next.identity.name) answered a hint with garbage: \(error)")
        }
    }
}
