// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

/// The shell around ``Replication``: one lock, a clock, and the tasks that wait.
///
/// It decides under the lock and does nothing itself: ``commands`` are carried out by ``PeerService``'s tasks, at most
/// one of a kind per peer and message, so the stream holds no more than a few commands per peer.
final class Replicator: Sendable {
    /// What is to be done next.
    enum Command: Sendable {
        case call(PeerAddress)
        case push(AgentID)
        case pull(AgentID)
        case recover(AgentID)
        /// Give a number to nothing.
        case beat
        /// Remove the keys of what none but these agents hold.
        case bury(Set<AgentID>)
        /// Send the notices that have gathered.
        case notify
        /// Remove the keys of these objects where nobody holds them any more.
        case remove(Set<Digest>)
    }

    struct Notice: Sendable {
        var notice: SettlingNotice
        var except: AgentID?
    }

    /// Notices that wait to be sent; beyond them they are dropped, they are a courtesy.
    static let noticesMax = 1000

    struct State {
        var replication: Replication
        var notices: [Notice] = []
        var isNotifying = false
        var signals: [UInt64: Signal] = [:]
    }

    let own: AgentID
    let recoveredNumber: UInt64
    let commands: AsyncStream<Command>
    let continuation: AsyncStream<Command>.Continuation
    let state: NIOLockedValueBox<State>
    private let start = ContinuousClock.now

    init(own: AgentID, configuration: PeersConfiguration, mine: [AgentID: UInt64], recovered: UInt64) {
        self.own = own
        self.recoveredNumber = recovered
        (commands, continuation) = AsyncStream.makeStream()
        let replication = Replication(own: own, configuration: configuration, mine: mine, recovered: recovered)
        self.state = NIOLockedValueBox(State(replication: replication))
    }

    var now: Duration { start.duration(to: .now) }
    var isBehind: Bool { read { $0.isBehind } }
    var mine: [AgentID: UInt64] { read { $0.table.mine } }
    var members: [Membership.Peer] { read { $0.membership.all } }
    var living: Set<AgentID> { read { $0.living } }
    var silentAddresses: [(address: PeerAddress, site: String)] { read { $0.membership.silentAddresses } }

    func peer(_ agent: AgentID) -> Membership.Peer? { read { $0.membership.peer(agent) } }

    func expectedSite(at address: PeerAddress) -> String { read { $0.membership.expectedSite(at: address) } }

    func expected(at address: PeerAddress) -> (site: String, agent: Identity?)? {
        read { $0.membership.expected(at: address) }
    }

    /// The numbers by which a peer is behind us and we are behind it.
    func lag(of agent: AgentID) -> (owed: Int, missing: Int) {
        read { ($0.table.owed(to: agent).count, $0.table.gaps(at: agent).count) }
    }

    func read<R>(_ body: (Replication) -> R) -> R { state.withLockedValue { body($0.replication) } }

    /// Tells the policy what happened, under the lock, and then does what it says.
    func update(_ body: (inout Replication) -> [Replication.Action]) {
        change { state in ((), body(&state.replication)) }
    }

    private func change<R>(_ body: (inout State) -> (R, [Replication.Action])) -> R {
        let (result, actions, signals) = state.withLockedValue { state in
            let (result, actions) = body(&state)
            let signals = actions.compactMap { action -> Signal? in
                if case .done(let waiter) = action { state.signals.removeValue(forKey: waiter) } else { nil }
            }
            return (result, actions, signals)
        }
        for action in actions {
            switch action {
            case .call(let address): continuation.yield(.call(address))
            case .push(let agent): continuation.yield(.push(agent))
            case .pull(let agent): continuation.yield(.pull(agent))
            case .recover(let agent): continuation.yield(.recover(agent))
            case .beat: continuation.yield(.beat)
            case .bury(let agents): continuation.yield(.bury(agents))
            case .done: break
            }
        }
        for signal in signals { signal.set() }
        return result
    }

    /// Tells the policy what happened and waits until what it says to wait for is done, no longer than `limit`.
    ///
    /// - Returns: whether it is done.
    private func wait(
        limit: Duration,
        _ body: (inout Replication) -> (waiter: UInt64?, actions: [Replication.Action])
    ) async -> Bool {
        let signal = Signal()
        let waiter: UInt64? = change { state in
            let (waiter, actions) = body(&state.replication)
            if let waiter { state.signals[waiter] = signal }
            return (waiter, actions)
        }
        guard let waiter else { return true }
        let isDone = await signal.wait(limit: limit)
        state.withLockedValue { state in
            state.replication.gaveUp(waiter)
            state.signals[waiter] = nil
        }
        return isDone
    }
}

// Publications.
extension Replicator {
    /// Something of our own was committed: tells it and waits for live peers, no longer than `limit`.
    func published(number: UInt64, limit: Duration) async {
        await forward([own: number], except: nil, limit: limit)
    }

    /// Tells peers up to these numbers and waits until the live ones have them, no longer than `limit`.
    func forward(_ vector: [AgentID: UInt64], except: AgentID?, limit: Duration) async {
        _ = await wait(limit: limit) { $0.forward(vector, except: except) }
    }

    /// Asks those that are ahead; returns when nothing is missing, or false after `limit`.
    func catchUp(limit: Duration) async -> Bool {
        await wait(limit: limit) { replication in
            let (waiter, actions) = replication.catchUp()
            return (waiter, actions)
        }
    }

    /// What to push to a peer next, or nil where it lacks nothing and the push is over.
    func owed(to agent: AgentID) -> (peer: Membership.Peer, after: [AgentID: UInt64])? {
        state.withLockedValue { $0.replication.owed(to: agent) }
    }

    /// What to ask a peer for, or nil where nothing is missing and the pull is over.
    func gaps(at agent: AgentID) -> (peer: Membership.Peer, after: [AgentID: UInt64])? { read { $0.gaps(at: agent) } }
}

// Notices.
extension Replicator {
    func notify(_ notice: SettlingNotice, except: AgentID?) {
        let isDue = state.withLockedValue { state in
            guard state.notices.count < Replicator.noticesMax else { return false }
            if let last = state.notices.last, last.except == except, last.notice.settling == notice.settling,
                last.notice.hops == notice.hops,
                last.notice.keys.count + notice.keys.count <= SettlingNotice.keyCountMax
            {
                state.notices[state.notices.count - 1].notice.keys += notice.keys
            } else {
                state.notices.append(Notice(notice: notice, except: except))
            }
            defer { state.isNotifying = true }
            return !state.isNotifying
        }
        if isDue { continuation.yield(.notify) }
    }

    /// The notices that have gathered; nil where there are none and sending is over.
    func takeNotices() -> [Notice]? {
        state.withLockedValue { state in
            defer { state.notices = [] }
            if state.notices.isEmpty { state.isNotifying = false }
            return state.notices.isEmpty ? nil : state.notices
        }
    }
}
