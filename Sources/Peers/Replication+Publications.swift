// SPDX-License-Identifier: Apache-2.0

public import Content

// Publications: told, acknowledged, asked for.
extension Replication {
    /// Publications are here up to these numbers, and peers are to have them.
    ///
    /// - Parameter except: the peer who brought them.
    /// - Returns: also the number under which ``Action/done(_:)`` says that the live peers have them; nil: they do.
    public mutating func forward(
        _ vector: [AgentID: UInt64],
        except: AgentID?
    ) -> (waiter: UInt64?, actions: [Action]) {
        var actions: [Action] = []
        table.advance(vector)
        var missing = table.owing(vector)
        if let except { missing.remove(except) }
        var waiter: UInt64?
        if !missing.isEmpty {
            let id = number()
            acknowledgements[id] = Acknowledgement(vector: vector, missing: missing)
            waiter = id
        }
        settle(&actions)
        kick(vector, &actions)
        return (waiter, actions)
    }

    /// Nobody waits under this number any more.
    public mutating func gaveUp(_ waiter: UInt64) {
        acknowledgements[waiter] = nil
        catchUps.remove(waiter)
    }

    /// A peer's publications were applied.
    ///
    /// - Parameters:
    ///   - vector: what is now here.
    ///   - claimed: what the peer said that it has.
    public mutating func received(
        _ vector: [AgentID: UInt64],
        claimed: [AgentID: UInt64],
        from sender: AgentID
    ) -> [Action] {
        var actions: [Action] = []
        for (agent, number) in vector where number > table.mine[agent] ?? 0 { absence.rose(agent) }
        table.advance(vector)
        table.sent(claimed, by: sender)
        settle(&actions)
        kick(vector, &actions)
        return actions
    }

    /// What to push to a peer next, or nil where it lacks nothing and the push is over.
    public mutating func owed(to agent: AgentID) -> (peer: Membership.Peer, after: [AgentID: UInt64])? {
        let owed = table.owed(to: agent)
        guard !owed.isEmpty, let peer = membership.peer(agent) else {
            pushing.remove(agent)
            return nil
        }
        return (peer, owed)
    }

    /// A push was acknowledged.
    public mutating func acknowledged(_ vector: [AgentID: UInt64], by agent: AgentID) -> [Action] {
        var actions: [Action] = []
        table.acknowledged(vector, by: agent)
        settle(&actions)
        return actions
    }

    /// A push failed. Whoever does not answer is suspect; whoever refuses is told no more before its next word either,
    /// and nobody waits for it.
    public mutating func pushFailed(_ agent: AgentID, isDead: Bool, isSilent: Bool) -> [Action] {
        var actions: [Action] = []
        pushing.remove(agent)
        if isSilent {
            membership.suspect(agent, isDead: isDead)
            table.lost(agent)
        } else {
            table.acknowledged(table.mine, by: agent)
        }
        settle(&actions)
        return actions
    }

    /// What to ask a peer for, or nil where nothing is missing and the pull is over.
    public func gaps(at agent: AgentID) -> (peer: Membership.Peer, after: [AgentID: UInt64])? {
        let gaps = table.gaps(at: agent)
        guard !gaps.isEmpty, let peer = membership.peer(agent) else { return nil }
        return (peer, gaps)
    }

    /// A peer gave what can be had of it now.
    public mutating func pullEnded(_ agent: AgentID) -> [Action] {
        var actions: [Action] = []
        pulling.remove(agent)
        table.exhausted(agent)
        settle(&actions)
        return actions
    }

    /// Asks those that are ahead.
    ///
    /// - Returns: also the number under which ``Action/done(_:)`` says that nothing is missing any more.
    public mutating func catchUp() -> (waiter: UInt64, actions: [Action]) {
        var actions: [Action] = []
        let id = number()
        catchUps.insert(id)
        let asked = table.ahead.filter { pulling.insert($0).inserted }
        settle(&actions)
        return (id, actions + asked.map(Action.pull))
    }
}
