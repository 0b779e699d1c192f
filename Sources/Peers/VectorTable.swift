// SPDX-License-Identifier: Apache-2.0

public import Content

/// What we have of everybody's publications and what others have: who must be told what, and whom to ask.
///
/// A value. A gateway tells its links what it learns from its site and its site what it learns from its links; every
/// other agent tells only what is its own. What an agent has is never told to it again, so floods end.
public struct VectorTable: Sendable {
    /// What the table knows of one live agent.
    private struct Other {
        var has: [AgentID: UInt64] = [:]
        /// Its vector one heartbeat ago: what it had then and we lack now was lost, not just on its way.
        var before: [AgentID: UInt64] = [:]
        let isLink: Bool
        /// Whether it has something that we lack; kept, because every look-up that misses asks for it.
        var isAhead = false
    }

    private let own: AgentID
    private let isGateway: Bool
    public private(set) var mine: [AgentID: UInt64]
    private var others: [AgentID: Other] = [:]
    /// Agents that are known to be of our site; they tell their peers themselves.
    public var siteAgents: Set<AgentID> = []

    public init(own: AgentID, isGateway: Bool, mine: [AgentID: UInt64]) {
        self.own = own
        self.isGateway = isGateway
        self.mine = mine
    }

    /// Our own numbers rose.
    public mutating func advance(_ vector: [AgentID: UInt64]) {
        for (agent, number) in vector { mine[agent] = max(mine[agent] ?? 0, number) }
        for (agent, other) in others where other.isAhead {
            let isAhead = lacks(other.has)
            others[agent]?.isAhead = isAhead
        }
    }

    /// A live agent said what it has.
    ///
    /// - Returns: whether something that it had one heartbeat ago is missing here, or it is new: time to ask it.
    public mutating func heard(_ vector: [AgentID: UInt64], from agent: AgentID, isLink: Bool) -> Bool {
        let old = others[agent]
        var other = Other(has: vector, before: vector, isLink: isLink)
        // Acknowledged pushes may be newer than the heartbeat that crossed them.
        for (publisher, number) in old?.has ?? [:] { other.has[publisher] = max(other.has[publisher] ?? 0, number) }
        other.isAhead = lacks(other.has)
        others[agent] = other
        return lacks(old?.before ?? vector)
    }

    /// An agent said, acknowledging a push or itself sending one, up to which numbers it has.
    public mutating func acknowledged(_ vector: [AgentID: UInt64], by agent: AgentID) {
        others[agent]?.has.merge(vector) { max($0, $1) }
        if lacks(vector) { others[agent]?.isAhead = true }
    }

    /// An agent is no longer alive: nobody waits for it, and nothing is known of what it has.
    public mutating func lost(_ agent: AgentID) { others[agent] = nil }

    public func isPresent(_ agent: AgentID) -> Bool { others[agent] != nil }

    /// Whether any live agent has something that we lack.
    public var isBehind: Bool { others.values.contains(where: \.isAhead) }

    /// Whether a vector names something that we lack. Our own numbers are ours to give.
    public func lacks(_ vector: [AgentID: UInt64]) -> Bool {
        vector.contains { $0.key != own && $0.value > mine[$0.key] ?? 0 }
    }

    /// What to ask a live agent for: per publisher the number that we have.
    public func gaps(at agent: AgentID) -> [AgentID: UInt64] {
        var out: [AgentID: UInt64] = [:]
        for (publisher, number) in others[agent]?.has ?? [:] where publisher != own {
            let have = mine[publisher] ?? 0
            if number > have { out[publisher] = have }
        }
        return out
    }

    /// The live agents that have something that we lack.
    public var ahead: [AgentID] { others.filter(\.value.isAhead).keys.sorted() }

    /// What to tell a live agent: per publisher the number that it has.
    public func owed(to agent: AgentID) -> [AgentID: UInt64] {
        guard let other = others[agent] else { return [:] }
        var out: [AgentID: UInt64] = [:]
        for (publisher, number) in mine where number > other.has[publisher] ?? 0 && tells(publisher, other.isLink) {
            guard publisher != agent else { continue }
            out[publisher] = other.has[publisher] ?? 0
        }
        return out
    }

    private func tells(_ publisher: AgentID, _ toLink: Bool) -> Bool {
        if publisher == own { return true }
        return isGateway && (toLink || !siteAgents.contains(publisher))
    }

    /// The live agents that lack some of these numbers and to whom we tell them.
    public func owing(_ vector: [AgentID: UInt64]) -> Set<AgentID> {
        Set(others.keys.filter { owes(to: $0, vector) })
    }

    /// Whether a live agent still lacks some of these numbers.
    public func owes(to agent: AgentID, _ vector: [AgentID: UInt64]) -> Bool {
        guard let other = others[agent] else { return false }
        return vector.contains { publisher, number in
            publisher != agent && number > other.has[publisher] ?? 0 && tells(publisher, other.isLink)
        }
    }
}
