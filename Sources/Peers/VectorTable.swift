// SPDX-License-Identifier: Apache-2.0

public import Content

/// What we have of everybody's publications and what others have: who must be told what, and whom to ask.
///
/// A value. A gateway tells its links what it learns from its site and its site what it learns from its links; every
/// other agent tells only what is its own. What an agent has is never told to it again, so floods end.
public struct VectorTable: Sendable {
    /// What the table knows of one live agent.
    private struct Other {
        /// What it need not be told: it acknowledged it, sent it, or will ask for it.
        var told: [AgentID: UInt64] = [:]
        /// What it last said that it has.
        var says: [AgentID: UInt64] = [:]
        /// What it said a while before: what it had then and we lack now was lost, not just on its way.
        var said: [AgentID: UInt64] = [:]
        /// What is to become that, and when it was said.
        var ripening: (vector: [AgentID: UInt64], at: Duration)?
        let isLink: Bool
        /// Whether what it says names something that we lack; kept, because every look-up that misses asks for it.
        var isLacked = false
        /// Whether it is waited for: it has something that we lack, and was not just asked in vain.
        var isAhead = false
    }

    private let own: AgentID
    private let isGateway: Bool
    private let memory: Duration
    public private(set) var mine: [AgentID: UInt64]
    private var others: [AgentID: Other] = [:]
    /// Agents that are known to be of our site; they tell their peers themselves.
    public var siteAgents: Set<AgentID> = []

    /// - Parameter memory: how old a word must be to count as known: as long as a gateway may wait for those behind it.
    public init(own: AgentID, isGateway: Bool, mine: [AgentID: UInt64], memory: Duration) {
        self.own = own
        self.isGateway = isGateway
        self.mine = mine
        self.memory = memory
    }

    /// Our own numbers rose.
    public mutating func advance(_ vector: [AgentID: UInt64]) {
        for (agent, number) in vector { mine[agent] = max(mine[agent] ?? 0, number) }
        for (agent, other) in others where other.isLacked {
            let isLacked = lacks(other.says)
            others[agent]?.isLacked = isLacked
            if !isLacked { others[agent]?.isAhead = false }
        }
    }

    /// A live agent said what it has.
    ///
    /// What a new one lacks it will ask for, so it is told only what is new from now on. What a known one says does not
    /// count as told before it is as old as `memory`: a gateway has a publication some time before those behind it have
    /// it, and only its acknowledgement says that they do.
    ///
    /// - Returns: whether something that it had that long ago is missing here, or it is new: time to ask it.
    public mutating func heard(
        _ vector: [AgentID: UInt64],
        from agent: AgentID,
        isLink: Bool,
        now: Duration
    ) -> Bool {
        guard var other = others[agent] else {
            let told = mine.merging(vector) { max($0, $1) }
            var other = Other(told: told, says: vector, said: vector, isLink: isLink)
            other.isLacked = lacks(vector)
            other.isAhead = other.isLacked
            others[agent] = other
            return other.isLacked
        }
        if let (vector, at) = other.ripening, now - at >= memory {
            other.told.merge(vector) { max($0, $1) }
            other.said = vector
            other.ripening = nil
        }
        if other.says != vector {
            other.says = vector
            other.isLacked = lacks(vector)
        }
        if other.ripening == nil, other.said != other.says { other.ripening = (other.says, now) }
        other.isAhead = other.isLacked
        others[agent] = other
        return other.isLacked && lacks(other.said)
    }

    /// An agent acknowledged a push up to these numbers.
    public mutating func acknowledged(_ vector: [AgentID: UInt64], by agent: AgentID) {
        others[agent]?.told.merge(vector) { max($0, $1) }
    }

    /// An agent sent publications up to these numbers. Where something before them is missing here, it is ahead.
    public mutating func sent(_ vector: [AgentID: UInt64], by agent: AgentID) {
        acknowledged(vector, by: agent)
        others[agent]?.says.merge(vector) { max($0, $1) }
        if lacks(vector) {
            others[agent]?.isLacked = true
            others[agent]?.isAhead = true
        }
    }

    /// An agent is no longer alive: nobody waits for it, and nothing is known of what it has.
    public mutating func lost(_ agent: AgentID) { others[agent] = nil }

    /// An agent was asked and gave what can be had of it now: until its next word nobody waits for the rest, which is
    /// refused here or does not decode.
    public mutating func exhausted(_ agent: AgentID) { others[agent]?.isAhead = false }

    /// Whether any live agent has something that we lack.
    public var isBehind: Bool { others.values.contains(where: \.isAhead) }

    /// Whether a vector names something that we lack. Our own numbers are ours to give.
    public func lacks(_ vector: [AgentID: UInt64]) -> Bool {
        vector.contains { $0.key != own && $0.value > mine[$0.key] ?? 0 }
    }

    /// What to ask a live agent for: per publisher the number that we have.
    public func gaps(at agent: AgentID) -> [AgentID: UInt64] {
        var out: [AgentID: UInt64] = [:]
        for (publisher, number) in others[agent]?.says ?? [:] where publisher != own {
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
        guard isGateway else {
            let (number, told) = (mine[own] ?? 0, other.told[own] ?? 0)
            return number > told ? [own: told] : [:]
        }
        for (publisher, number) in mine where number > other.told[publisher] ?? 0 && tells(publisher, other.isLink) {
            guard publisher != agent else { continue }
            out[publisher] = other.told[publisher] ?? 0
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
            publisher != agent && number > other.told[publisher] ?? 0 && tells(publisher, other.isLink)
        }
    }
}
