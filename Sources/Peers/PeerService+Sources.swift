// SPDX-License-Identifier: Apache-2.0

public import Content
import NIOConcurrencyHelpers
import Storage

/// An agent that this one knows of, for status.
public struct Member: Sendable, Hashable {
    public enum Role: String, Sendable { case peer, gateway, link }

    /// Nil where nobody has answered at the address yet.
    public let agent: AgentID?
    public let name: String
    public let site: String
    public let address: PeerAddress
    public let role: Role
    public let state: Membership.State
    /// Since it was last heard; nil: never.
    public let silence: Duration?
    /// Agents of whose publications it has something that we lack.
    public let ahead: Int
    /// Agents of whose publications it lacks something that we are to tell it.
    public let behind: Int
    /// What its certificate says; nil: it was not heard, or agents speak plaintext.
    public let authority: Authority?
    /// Why the last call to it failed; nil: it was answered.
    public let failure: String?
}

extension PeerService {
    /// Everybody who is known, this agent not among them.
    public func members() -> [Member] {
        let now = replicator.now
        let security = state.withLockedValue { $0.security }
        let known = replicator.members.map { peer in
            let lag = replicator.lag(of: peer.identity.agent)
            let isLink = peer.identity.site != configuration.site
            return Member(
                agent: peer.identity.agent,
                name: peer.identity.name,
                site: peer.identity.site,
                address: peer.address,
                role: isLink ? .link : peer.identity.isGateway ? .gateway : .peer,
                state: peer.state,
                silence: now - peer.lastHeard,
                ahead: lag.missing,
                behind: lag.owed,
                authority: security.authorities[peer.identity.agent],
                failure: security.callFailures[peer.address]
            )
        }
        let silent = replicator.silentAddresses.map { address, site in
            Member(
                agent: nil,
                name: "\(address)",
                site: site,
                address: address,
                role: site == configuration.site ? .peer : .link,
                state: .dead,
                silence: nil,
                ahead: 0,
                behind: 0,
                authority: nil,
                failure: security.callFailures[address]
            )
        }
        return known + silent
    }

    /// The live agents of this site, this one among them, that may read a namespace, or that may publish in it.
    public func siteAgents(mayRead namespace: String) -> [AgentID] {
        siteAgents { $0.mayRead(namespace) }
    }

    /// See ``siteAgents(mayRead:)``.
    public func siteAgents(mayPublish namespace: String) -> [AgentID] {
        siteAgents { $0.mayPublish(namespace) }
    }

    private func siteAgents(where holds: (Rights) -> Bool) -> [AgentID] {
        let others = replicator.members.filter { $0.state == .alive && $0.identity.site == configuration.site }
            .map(\.identity.agent)
        return (holds(ownRights) ? [agent] : []) + others.filter { holds(rights(of: $0)) }
    }

    /// Every agent of which somebody that is alive says that it lives, this one among them.
    public var living: Set<AgentID> { replicator.living }

    /// The site of an agent, also of one that only its site's gateway knows; nil: nobody told.
    public func site(of agent: AgentID) -> String? {
        if agent == self.agent { return configuration.site }
        let members = replicator.members
        return members.first { $0.identity.agent == agent }?.identity.site
            ?? members.first { $0.siteAgents.contains(agent) }?.identity.site
    }

    /// Holders of related objects that are asked before a gateway: each costs one round through the site.
    private static let relatedSourcesMax = 2

    /// Whether a link to a site is up: one held here, or one that the live gateway of this site says to be up.
    public func isLinked(to site: String) -> Bool {
        replicator.members.contains { peer in
            guard peer.state == .alive else { return false }
            return peer.identity.site == site || peer.linksUp.contains(site)
        }
    }

    /// Who may have an object's chunks, the best first.
    ///
    /// First the live holders of this site, in an order that differs from block to block so that they share the work;
    /// then some who hold objects that it has much in common with; then, where the level allows, the block's owner and
    /// the own gateway, or for a gateway its links: first those whose site holds the object, then the others, who may
    /// have parts.
    ///
    /// - Parameters:
    ///   - level: for whom we fetch; ``FetchLevel/reader`` for somebody on this node.
    ///   - related: manifests of such objects.
    ///   - block: the block of which the chunks are.
    public func sources(
        for manifest: Digest,
        level: FetchLevel,
        related: [Digest] = [],
        block: Digest? = nil
    ) -> [Source] {
        guard level > .store else { return [] }
        let holders = Set((try? directory.catalog.holders(of: manifest)) ?? [])
        let relatives = related.reduce(into: Set<AgentID>()) { all, manifest in
            all.formUnion((try? directory.catalog.holders(of: manifest)) ?? [])
        }
        let alive = replicator.members.filter { $0.state == .alive }
        let site = alive.filter { $0.identity.site == configuration.site }
        let order = { (peer: Membership.Peer) in Rendezvous.weight(peer.identity.agent, block ?? manifest) }
        var out = site.filter { holders.contains($0.identity.agent) }
            .sorted { order($0) < order($1) }
            .map { source($0, .holder, .store) }
        out += site.filter { relatives.contains($0.identity.agent) && !holders.contains($0.identity.agent) }
            .sorted { order($0) < order($1) }
            .prefix(PeerService.relatedSourcesMax)
            .map { source($0, .relative, .store) }
        if configuration.isGateway {
            guard level >= .gateway else { return out }
            let links = alive.filter { $0.identity.site != configuration.site }
            let holding = links.filter { !$0.siteAgents.isDisjoint(with: holders) }
            let others = links.filter { $0.siteAgents.isDisjoint(with: holders) }
            out += (holding + others).map { source($0, .link, .site) }
        } else if level >= .owner {
            if level == .reader, let owner = block.flatMap({ self.owner(of: $0) }) { out.append(owner) }
            out += site.filter(\.identity.isGateway).map { source($0, .gateway, .gateway) }
        }
        return out
    }

    /// The peer of this site that fetches a block from the gateway for all of them, by rendezvous hashing: each block is
    /// given away once by the gateway, and each agent gives away about as much as it gets. Gateways have enough to do.
    ///
    /// - Returns: nil where it is this agent, or where there is nobody to share with.
    public func owner(of block: Digest) -> Source? {
        guard !configuration.isGateway else { return nil }
        let site = replicator.members.filter { $0.state == .alive && $0.identity.site == configuration.site }
        guard site.contains(where: \.identity.isGateway) else { return nil }
        let own = ownRights
        // Who may not read what this agent may is no help to it.
        let peers = site.filter { !$0.identity.isGateway && rights(of: $0.identity.agent).readsAll(of: own) }
        let best = peers.min {
            Rendezvous.weight($0.identity.agent, block) < Rendezvous.weight($1.identity.agent, block)
        }
        guard let best, Rendezvous.weight(best.identity.agent, block) < Rendezvous.weight(agent, block) else {
            return nil
        }
        return source(best, .owner, .owner)
    }

    /// Who may keep an object in this agent's place: for a gateway, whoever it would fetch it from for the agent that
    /// asks. Any other agent keeps what it has, and passes nothing on.
    public func sourcesBehind(_ manifest: Digest, for agent: AgentID) -> [Source] {
        guard configuration.isGateway, let peer = replicator.peer(agent) else { return [] }
        return sources(for: manifest, level: peer.identity.site == configuration.site ? .gateway : .site)
            .filter { $0.agent != agent }
    }

    /// The live peers of this site, to be asked for what is in their stores.
    func sitePeers() -> [Source] {
        replicator.members.filter { $0.state == .alive && $0.identity.site == configuration.site }
            .map { source($0, .holder, .store) }
    }

    private func source(_ peer: Membership.Peer, _ kind: Source.Kind, _ level: FetchLevel) -> Source {
        Source(
            agent: peer.identity.agent,
            name: peer.identity.name,
            site: peer.identity.site,
            address: peer.address,
            kind: kind,
            level: level
        )
    }
}
