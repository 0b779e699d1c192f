// SPDX-License-Identifier: Apache-2.0

public import Content

/// Who must be called, told or asked next, and what waits for it: events in, actions out.
///
/// A value around membership and vectors, without clock, socket or disk. ``Replicator`` is its shell in an agent; the
/// simulation drives it under a clock and a network of its own.
public struct Replication: Sendable {
    /// What is to be done next.
    public enum Action: Sendable, Hashable {
        /// Call an address with a heartbeat.
        case call(PeerAddress)
        /// Tell a peer what it lacks, until it lacks nothing.
        case push(AgentID)
        /// Ask a peer for what we lack.
        case pull(AgentID)
        /// Ask a peer for our own publications that a power loss may have taken.
        case recover(AgentID)
        /// Give a number to nothing: a sign of life.
        case beat
        /// Remove the keys of objects that none but these agents hold, who are gone.
        case bury(Set<AgentID>)
        /// What waits under this number waits no longer.
        case done(UInt64)
    }

    struct Acknowledgement {
        let vector: [AgentID: UInt64]
        var missing: Set<AgentID>
    }

    public let own: AgentID
    public let site: String
    /// The highest number of ours that the catalog knew when it was opened.
    public let recoveredNumber: UInt64
    public internal(set) var membership: Membership
    public internal(set) var table: VectorTable
    var absence: Absence
    /// Whether a live peer may have something that is missing here.
    public private(set) var isBehind = true
    /// Whether a name must be resolved before all addresses are known.
    var awaitsNames: Bool
    var pushing: Set<AgentID> = []
    var pulling: Set<AgentID> = []
    var recovered: Set<AgentID> = []
    var acknowledgements: [UInt64: Acknowledgement] = [:]
    var catchUps: Set<UInt64> = []
    private var counter: UInt64 = 0

    /// - Parameters:
    ///   - mine: per agent the number up to which its publications are here.
    ///   - recovered: the highest number of ours that the catalog knew when it was opened.
    public init(own: AgentID, configuration: PeersConfiguration, mine: [AgentID: UInt64], recovered: UInt64) {
        self.own = own
        self.site = configuration.site
        self.recoveredNumber = recovered
        membership = Membership(
            own: own,
            site: configuration.site,
            links: Set(configuration.links.map(\.site)),
            limits: configuration.limits
        )
        membership.configure(Replication.addresses(configuration, resolved: []))
        table = VectorTable(
            own: own,
            isGateway: configuration.isGateway,
            mine: mine,
            memory: configuration.limits.acknowledge
        )
        absence = Absence(limit: configuration.limits.absence)
        awaitsNames = configuration.dns != nil
        isBehind = !membership.isFirstRoundOver || awaitsNames
    }

    /// The addresses of a configuration, with the site that must answer there.
    public static func addresses(
        _ configuration: PeersConfiguration,
        resolved: [PeerAddress]
    ) -> [PeerAddress: String?] {
        var out: [PeerAddress: String?] = [:]
        for address in configuration.peers + resolved { out.updateValue(nil, forKey: address) }
        for link in configuration.links {
            if let address = link.address { out.updateValue(link.site, forKey: address) }
        }
        return out
    }

    mutating func number() -> UInt64 {
        counter += 1
        return counter
    }

    /// What follows from the state: acknowledgements that are complete, catching up that is done.
    mutating func settle(_ actions: inout [Action]) {
        isBehind = !membership.isFirstRoundOver || awaitsNames || table.isBehind
        for (id, acknowledgement) in acknowledgements {
            let missing = acknowledgement.missing.filter { table.owes(to: $0, acknowledgement.vector) }
            acknowledgements[id]?.missing = missing
            if missing.isEmpty {
                acknowledgements[id] = nil
                actions.append(.done(id))
            }
        }
        if !isBehind {
            actions += catchUps.map(Action.done)
            catchUps = []
        }
    }

    /// Pushes to those who lack some of these numbers and are not being told already.
    mutating func kick(_ vector: [AgentID: UInt64], _ actions: inout [Action]) {
        let due = table.owing(vector).subtracting(pushing)
        pushing.formUnion(due)
        actions += due.sorted().map(Action.push)
    }
}

// Heartbeats.
extension Replication {
    /// Addresses were resolved.
    public mutating func configure(_ addresses: [PeerAddress: String?]) -> [Action] {
        membership.configure(addresses)
        return namesFailed()
    }

    /// A name did not resolve: it is not waited for.
    public mutating func namesFailed() -> [Action] {
        var actions: [Action] = []
        awaitsNames = false
        settle(&actions)
        return actions
    }

    /// Every agent of which somebody that is alive says that it lives, this one among them. Who lives in another site its
    /// gateway says; its numbers may be refused here, or it may be of a version that gives none.
    public var living: Set<AgentID> {
        membership.all.filter { $0.state == .alive }
            .reduce(into: [own]) { $0.formUnion($1.siteAgents.union([$1.identity.agent])) }
    }

    /// Time passed: calls that are due, and peers that fell silent.
    public mutating func tick(now: Duration) -> [Action] {
        var actions: [Action] = []
        if membership.tick(now: now) {
            for peer in membership.all where peer.state != .alive { table.lost(peer.identity.agent) }
        }
        settle(&actions)
        let judges = membership.judgesAbsence && !awaitsNames
        if absence.tick(now: now, isWatching: judges) {
            actions.append(.beat)
            let living = living
            let gone = absence.gone(among: table.mine.keys.filter { !living.contains($0) })
            if judges, !gone.isEmpty { actions.append(.bury(gone)) }
        }
        return actions + membership.calls(now: now).map(Action.call)
    }

    /// A call was not answered.
    ///
    /// - Parameter refused: nobody listens there.
    public mutating func callFailed(_ address: PeerAddress, refused: Bool, now: Duration) -> [Action] {
        var actions: [Action] = []
        membership.failed(at: address, refused: refused, now: now)
        for peer in membership.all where peer.state == .dead { table.lost(peer.identity.agent) }
        settle(&actions)
        return actions
    }

    /// A call was answered.
    public mutating func answered(_ heartbeat: Heartbeat, at address: PeerAddress, now: Duration) -> [Action] {
        heard(heartbeat, membership.answered(heartbeat.identity, at: address, now: now), now)
    }

    /// An agent called.
    ///
    /// - Returns: also whether it is one to talk with.
    public mutating func called(
        _ heartbeat: Heartbeat,
        from host: String,
        now: Duration
    ) -> (isAdmitted: Bool, actions: [Action]) {
        let isAdmitted = membership.called(by: heartbeat.identity, from: host, now: now)
        return (isAdmitted, heard(heartbeat, isAdmitted, now))
    }

    private mutating func heard(_ heartbeat: Heartbeat, _ isAdmitted: Bool, _ now: Duration) -> [Action] {
        var actions: [Action] = []
        guard isAdmitted else {
            settle(&actions)
            return actions
        }
        let agent = heartbeat.identity.agent
        let isLink = heartbeat.identity.site != site
        membership.setReach(of: agent, siteAgents: heartbeat.siteAgents, linksUp: heartbeat.linksUp)
        if !isLink { table.siteAgents.insert(agent) }
        let isDue = table.heard(heartbeat.vector, from: agent, isLink: isLink, now: now)
        if isDue, pulling.insert(agent).inserted { actions.append(.pull(agent)) }
        if (heartbeat.vector[own] ?? 0) > recoveredNumber, recovered.insert(agent).inserted {
            actions.append(.recover(agent))
        }
        settle(&actions)
        if !table.owed(to: agent).isEmpty, pushing.insert(agent).inserted { actions.append(.push(agent)) }
        return actions
    }

    /// What to tell in a heartbeat to an agent of a site.
    public func heartbeat(
        from identity: Identity,
        to site: String?,
        clock: HybridTime,
        settling: [Key]
    ) -> Heartbeat {
        var heartbeat = Heartbeat(
            identity: identity,
            clock: clock,
            vector: table.mine,
            siteAgents: [],
            linksUp: [],
            settling: settling
        )
        guard identity.isGateway else { return heartbeat }
        let members = membership.all
        let linked = members.filter { $0.identity.site != self.site && $0.state == .alive }
        heartbeat.linksUp = Set(linked.map(\.identity.site)).sorted()
        if site != self.site {
            let peers = members.filter { $0.identity.site == self.site && $0.state != .dead }
            heartbeat.siteAgents = [own] + peers.map(\.identity.agent)
        }
        return heartbeat
    }

    /// A recovery failed: it is tried again at the next heartbeat.
    public mutating func recoveryFailed(_ agent: AgentID) { recovered.remove(agent) }

    /// A request to a peer failed at the connection.
    public mutating func suspect(_ agent: AgentID, isDead: Bool) -> [Action] {
        var actions: [Action] = []
        membership.suspect(agent, isDead: isDead)
        if isDead { table.lost(agent) }
        settle(&actions)
        return actions
    }
}
