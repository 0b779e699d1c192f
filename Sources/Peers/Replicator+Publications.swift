// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

// Publications.
extension Replicator {
    /// Something of our own was committed: tells it and waits for live peers, no longer than `limit`.
    func published(number: UInt64, limit: Duration) async {
        await forward([own: number], except: nil, limit: limit)
    }

    /// Tells peers up to these numbers and waits until the live ones have them, no longer than `limit`.
    func forward(_ vector: [AgentID: UInt64], except: AgentID?, limit: Duration) async {
        let signal = Signal()
        let id: UInt64? = update { state in
            state.table.advance(vector)
            var missing = state.table.owing(vector)
            if let except { missing.remove(except) }
            guard !missing.isEmpty else { return nil }
            state.counter += 1
            state.acknowledgements[state.counter] = Acknowledgement(vector: vector, missing: missing, signal: signal)
            return state.counter
        }
        kick(vector)
        guard let id else { return }
        _ = await signal.wait(limit: limit)
        state.withLockedValue { $0.acknowledgements[id] = nil }
    }

    /// A peer's publications were applied.
    ///
    /// - Parameters:
    ///   - vector: what is now here.
    ///   - claimed: what the peer said that it has.
    func received(_ vector: [AgentID: UInt64], claimed: [AgentID: UInt64], from sender: AgentID) {
        update { state in
            state.table.advance(vector)
            state.table.sent(claimed, by: sender)
        }
        kick(vector)
    }

    /// What to push to a peer next, or nil where it lacks nothing and the push is over.
    func owed(to agent: AgentID) -> (peer: Membership.Peer, after: [AgentID: UInt64])? {
        update { state in
            let owed = state.table.owed(to: agent)
            guard !owed.isEmpty, let peer = state.membership.peer(agent) else {
                state.pushing.remove(agent)
                return nil
            }
            return (peer, owed)
        }
    }

    /// A push was acknowledged.
    func acknowledged(_ vector: [AgentID: UInt64], by agent: AgentID) {
        update { $0.table.acknowledged(vector, by: agent) }
    }

    /// A push failed. Whoever does not answer is suspect; whoever refuses is told no more before its next word either,
    /// and nobody waits for it.
    func pushFailed(_ agent: AgentID, isDead: Bool, isSilent: Bool) {
        update { state in
            state.pushing.remove(agent)
            guard isSilent else { return state.table.acknowledged(state.table.mine, by: agent) }
            state.membership.suspect(agent, isDead: isDead)
            state.table.lost(agent)
        }
    }

    /// What to ask a peer for, or nil where nothing is missing and the pull is over.
    func gaps(at agent: AgentID) -> (peer: Membership.Peer, after: [AgentID: UInt64])? {
        update { state in
            let gaps = state.table.gaps(at: agent)
            guard !gaps.isEmpty, let peer = state.membership.peer(agent) else { return nil }
            return (peer, gaps)
        }
    }

    func pullEnded(_ agent: AgentID) {
        update { state in
            state.pulling.remove(agent)
            state.table.exhausted(agent)
        }
    }

    /// Asks those that are ahead; returns when nothing is missing, or false after `limit`.
    func catchUp(limit: Duration) async -> Bool {
        let signal = Signal()
        let (id, asked): (UInt64, [AgentID]) = state.withLockedValue { state in
            state.counter += 1
            state.catchUps[state.counter] = signal
            let asked = state.table.ahead.filter { state.pulling.insert($0).inserted }
            return (state.counter, asked)
        }
        update { _ in }
        for agent in asked { continuation.yield(.pull(agent)) }
        let isDone = await signal.wait(limit: limit)
        state.withLockedValue { $0.catchUps[id] = nil }
        return isDone
    }
}
