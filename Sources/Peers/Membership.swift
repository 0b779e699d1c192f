// SPDX-License-Identifier: Apache-2.0

public import Content

/// Who is there: addresses to call in, heartbeats in, states out. A value without clock or socket; times are of any
/// clock that does not go back.
public struct Membership: Sendable {
    public enum State: String, Sendable {
        /// Heard within the last two heartbeats.
        case alive
        /// Missed a heartbeat or two, or did not answer a push: nobody waits for it.
        case suspect
        /// Missed three, or refused the connection. It is still called, and alive again when it answers.
        case dead
    }

    /// One agent that was heard of.
    public struct Peer: Sendable, Hashable {
        public var identity: Identity
        public var address: PeerAddress
        public var state: State
        public var lastHeard: Duration
        /// The agents of its site, where it is a gateway of another one.
        public var siteAgents: Set<AgentID> = []
        /// The sites to which it holds a link that is up.
        public var linksUp: [String] = []
    }

    /// An address that is called every second.
    private struct Contact {
        /// The site that must answer there; nil: our own.
        var site: String?
        /// Whether it was configured or resolved, and not learnt from a call that came in.
        var isConfigured: Bool
        var agent: AgentID?
        var isSelf = false
        var failures = 0
        var nextCall: Duration = .zero
        var isCalling = false
    }

    private let own: AgentID
    private let site: String
    private let links: Set<String>
    private let heartbeat: Duration
    private let missedMax: Int
    private let contactsMax: Int
    private var contacts: [PeerAddress: Contact] = [:]
    private var peers: [AgentID: Peer] = [:]

    public init(own: AgentID, site: String, links: Set<String>, limits: PeersConfiguration.Limits) {
        self.own = own
        self.site = site
        self.links = links
        self.heartbeat = limits.heartbeat
        self.missedMax = limits.missedMax
        self.contactsMax = limits.contactsMax
    }

    /// Everybody who was heard of, by id.
    public var all: [Peer] { peers.values.sorted { $0.identity.agent < $1.identity.agent } }

    public func peer(_ agent: AgentID) -> Peer? { peers[agent] }

    /// The addresses to which no agent has answered yet.
    public var silentAddresses: [(address: PeerAddress, site: String)] {
        contacts.filter { $0.value.agent == nil && !$0.value.isSelf }.map { ($0.key, $0.value.site ?? site) }
    }

    /// Says which addresses are known by configuration or name. Those that are gone stop being called once their agent
    /// is dead, so that a name that does not resolve for a moment forgets nobody.
    public mutating func configure(_ addresses: [PeerAddress: String?]) {
        for (address, site) in addresses where contacts[address] == nil {
            guard contacts.count < contactsMax else { break }
            contacts[address] = Contact(site: site, isConfigured: true)
        }
        for (address, contact) in contacts where contact.isConfigured && !addresses.keys.contains(address) {
            let state = contact.agent.flatMap { peers[$0]?.state } ?? .dead
            if state == .dead { contacts[address] = nil }
        }
    }

    /// Whether every known address has been tried, so that what nobody told may be taken as not there.
    public var isFirstRoundOver: Bool {
        contacts.values.allSatisfy { $0.agent != nil || $0.isSelf || $0.failures > 0 }
    }

    /// The addresses that are to be called now. Each is to be answered with ``heard`` or ``failed``.
    public mutating func calls(now: Duration) -> [PeerAddress] {
        var out: [PeerAddress] = []
        for (address, contact) in contacts where !contact.isCalling && contact.nextCall <= now {
            contacts[address]?.isCalling = true
            out.append(address)
        }
        return out
    }

    /// The site that must answer at an address.
    public func expectedSite(at address: PeerAddress) -> String { contacts[address]?.site.flatMap { $0 } ?? site }

    /// Who must answer at an address: the agent where one answered there before, and its site; nil: it is not known.
    public func expected(at address: PeerAddress) -> (site: String, agent: Identity?)? {
        guard let contact = contacts[address] else { return nil }
        return (contact.site ?? site, contact.agent.flatMap { peers[$0]?.identity })
    }

    /// An agent answered a call.
    ///
    /// - Returns: whether it is one to talk with: of our site, or of the site that the link names; never ourselves.
    public mutating func answered(_ identity: Identity, at address: PeerAddress, now: Duration) -> Bool {
        guard var contact = contacts[address] else { return false }
        contact.isCalling = false
        contact.failures = 0
        contact.isSelf = identity.agent == own
        let isAllowed = !contact.isSelf && identity.site == expectedSite(at: address)
        // Ourselves and strangers are called seldom: the address may become somebody else's.
        contact.nextCall = now + (isAllowed ? heartbeat : heartbeat * 10)
        contact.agent = isAllowed ? identity.agent : nil
        contacts[address] = contact
        guard isAllowed else { return false }
        // What was learnt from its calls is not needed where a known address answers.
        for (other, learnt) in contacts where other != address && learnt.agent == identity.agent {
            if !learnt.isConfigured { contacts[other] = nil }
        }
        note(identity, address, now)
        return true
    }

    /// An agent called us.
    ///
    /// - Parameter host: where the call came from.
    /// - Returns: whether it is one to talk with.
    public mutating func called(by identity: Identity, from host: String, now: Duration) -> Bool {
        guard identity.agent != own, identity.site == site || links.contains(identity.site) else { return false }
        let address = PeerAddress(host: host, port: Int(identity.port))
        if let peer = peers[identity.agent], let contact = contacts[peer.address], contact.agent == identity.agent,
            // One that was learnt from calls and is dead has come back elsewhere.
            contact.isConfigured || peer.address == address || peer.state == .alive
        {
            contacts[peer.address]?.failures = 0
            // It lives: where it was being called seldom, call it now.
            if peer.state != .alive { contacts[peer.address]?.nextCall = now }
            note(identity, peer.address, now)
            return true
        }
        if let old = peers[identity.agent]?.address, old != address, let contact = contacts[old],
            contact.agent == identity.agent, !contact.isConfigured
        {
            contacts[old] = nil
        }
        if contacts[address] == nil {
            guard contacts.count < contactsMax else { return false }
            contacts[address] = Contact(site: identity.site == site ? nil : identity.site, isConfigured: false)
        }
        contacts[address]?.agent = identity.agent
        contacts[address]?.failures = 0
        note(identity, address, now)
        return true
    }

    /// Whether it falls to us to say who is gone for good, and whether everybody is seen who should be: all addresses
    /// that are configured answer, all links are up, here and at the other ends. A gateway judges where there is one, and
    /// of those who could the one with the lowest id.
    public var judgesAbsence: Bool {
        for contact in contacts.values where contact.isConfigured && !contact.isSelf {
            guard let agent = contact.agent, peers[agent]?.state == .alive else { return false }
        }
        for (agent, peer) in peers {
            if peer.identity.site == site {
                guard !links.isEmpty || !peer.identity.isGateway else { return false }
                let isEqual = peer.identity.isGateway != links.isEmpty
                if isEqual, peer.state == .alive, agent < own { return false }
            } else if peer.state == .alive {
                guard Set(peer.linksUp).isSuperset(of: peer.identity.links) else { return false }
            }
        }
        return links.allSatisfy { link in
            peers.values.contains { $0.state == .alive && $0.identity.site == link }
        }
    }

    /// Makes room for one more agent: of those that are dead and have no address any more, the one longest silent goes.
    private mutating func makeRoom(for agent: AgentID) {
        guard peers[agent] == nil, peers.count >= contactsMax else { return }
        let gone = peers.filter { $0.value.state == .dead || contacts[$0.value.address]?.agent != $0.key }
        if let oldest = gone.min(by: { $0.value.lastHeard < $1.value.lastHeard }) { peers[oldest.key] = nil }
    }

    private mutating func note(_ identity: Identity, _ address: PeerAddress, _ now: Duration) {
        makeRoom(for: identity.agent)
        var peer = peers[identity.agent] ?? Peer(identity: identity, address: address, state: .alive, lastHeard: now)
        peer.identity = identity
        peer.address = address
        peer.state = .alive
        peer.lastHeard = now
        peers[identity.agent] = peer
    }

    /// Takes note of whom a gateway reaches.
    public mutating func setReach(of agent: AgentID, siteAgents: [AgentID], linksUp: [String]) {
        peers[agent]?.siteAgents = Set(siteAgents)
        peers[agent]?.linksUp = linksUp
    }

    /// A call was not answered.
    ///
    /// - Parameter refused: nobody listens there, so there is nothing to wait for.
    public mutating func failed(at address: PeerAddress, refused: Bool, now: Duration) {
        guard var contact = contacts[address] else { return }
        contact.isCalling = false
        contact.failures += 1
        // After a minute every two seconds: still noticed soon, at half the cost.
        contact.nextCall = now + (contact.failures > 60 ? heartbeat * 2 : heartbeat)
        contacts[address] = contact
        if let agent = contact.agent, peers[agent]?.address == address {
            suspect(agent, isDead: refused || contact.failures >= missedMax)
            if !contact.isConfigured, peers[agent]?.state == .dead, contact.failures > 600 { contacts[address] = nil }
        }
    }

    /// An agent did not answer something else, or refused the connection.
    public mutating func suspect(_ agent: AgentID, isDead: Bool) {
        guard let state = peers[agent]?.state, state != .dead else { return }
        peers[agent]?.state = isDead ? .dead : .suspect
    }

    /// Time passed: who was not heard becomes suspect, then dead.
    ///
    /// - Returns: whether any state changed.
    public mutating func tick(now: Duration) -> Bool {
        var changed = false
        for (agent, peer) in peers where peer.state != .dead {
            let silent = now - peer.lastHeard
            let state: State =
                silent > heartbeat * missedMax ? .dead : silent > heartbeat * 2 ? .suspect : peer.state
            if state != peer.state {
                peers[agent]?.state = state
                changed = true
            }
        }
        return changed
    }
}
