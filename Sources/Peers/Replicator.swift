// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

/// The shell around membership and vectors: who must be called, told or asked next, and who waits for it.
///
/// It decides under one lock and does nothing itself: ``commands`` are carried out by ``PeerService``'s tasks, at most
/// one of a kind per peer, so the stream holds no more than a few commands per peer.
final class Replicator: Sendable {
    /// What is to be done next.
    enum Command: Sendable {
        /// Call an address with a heartbeat.
        case call(PeerAddress)
        /// Tell a peer what it lacks, until it lacks nothing.
        case push(AgentID)
        /// Ask a peer for what we lack.
        case pull(AgentID)
        /// Ask a peer for our own publications that a power loss may have taken.
        case recover(AgentID)
        /// Send the notices that have gathered.
        case notify
    }

    struct Notice: Sendable {
        var notice: SettlingNotice
        var except: AgentID?
    }

    /// Notices that wait to be sent; beyond them they are dropped, they are a courtesy.
    static let noticesMax = 1000

    struct Acknowledgement {
        let vector: [AgentID: UInt64]
        var missing: Set<AgentID>
        let signal: Signal
    }

    struct State {
        var membership: Membership
        var table: VectorTable
        var isBehind = true
        /// Whether a name must be resolved before all addresses are known.
        var awaitsNames: Bool
        var pushing: Set<AgentID> = []
        var pulling: Set<AgentID> = []
        var recovered: Set<AgentID> = []
        var notices: [Notice] = []
        var isNotifying = false
        var acknowledgements: [UInt64: Acknowledgement] = [:]
        var catchUps: [UInt64: Signal] = [:]
        var counter: UInt64 = 0
    }

    let own: AgentID
    let site: String
    let recoveredNumber: UInt64
    let commands: AsyncStream<Command>
    let continuation: AsyncStream<Command>.Continuation
    let state: NIOLockedValueBox<State>
    private let start = ContinuousClock.now

    init(own: AgentID, configuration: PeersConfiguration, mine: [AgentID: UInt64], recovered: UInt64) {
        self.own = own
        self.site = configuration.site
        self.recoveredNumber = recovered
        (commands, continuation) = AsyncStream.makeStream()
        var membership = Membership(
            own: own,
            site: configuration.site,
            links: Set(configuration.links.map(\.site)),
            limits: configuration.limits
        )
        membership.configure(Replicator.addresses(configuration, resolved: []))
        var state = State(
            membership: membership,
            table: VectorTable(own: own, isGateway: configuration.isGateway, mine: mine),
            awaitsNames: configuration.dns != nil
        )
        state.isBehind = !membership.isFirstRoundOver || state.awaitsNames
        self.state = NIOLockedValueBox(state)
    }

    /// The addresses of a configuration, with the site that must answer there.
    static func addresses(_ configuration: PeersConfiguration, resolved: [PeerAddress]) -> [PeerAddress: String?] {
        var out: [PeerAddress: String?] = [:]
        for address in configuration.peers + resolved { out.updateValue(nil, forKey: address) }
        for link in configuration.links {
            if let address = link.address { out.updateValue(link.site, forKey: address) }
        }
        return out
    }

    var now: Duration { start.duration(to: .now) }
    var isBehind: Bool { state.withLockedValue { $0.isBehind } }
    var mine: [AgentID: UInt64] { state.withLockedValue { $0.table.mine } }
    var members: [Membership.Peer] { state.withLockedValue { $0.membership.all } }
    var silentAddresses: [(address: PeerAddress, site: String)] {
        state.withLockedValue { $0.membership.silentAddresses }
    }

    func peer(_ agent: AgentID) -> Membership.Peer? { state.withLockedValue { $0.membership.peer(agent) } }

    /// The numbers by which a peer is behind us and we are behind it.
    func lag(of agent: AgentID) -> (owed: Int, missing: Int) {
        state.withLockedValue { ($0.table.owed(to: agent).count, $0.table.gaps(at: agent).count) }
    }

    /// Changes the state under the lock, then issues the commands and signals that follow from it.
    func update<R>(_ body: (inout State) -> R) -> R {
        let (result, commands, signals) = state.withLockedValue { state in
            let result = body(&state)
            let (commands, signals) = Replicator.consequences(&state)
            return (result, commands, signals)
        }
        for command in commands { continuation.yield(command) }
        for signal in signals { signal.set() }
        return result
    }

    /// What follows from a state: pushes that are due, acknowledgements that are complete, catching up that is done.
    private static func consequences(_ state: inout State) -> (commands: [Command], signals: [Signal]) {
        var commands: [Command] = []
        var signals: [Signal] = []
        let firstRound = state.membership.isFirstRoundOver && !state.awaitsNames
        state.isBehind = !firstRound || state.table.isBehind
        for (id, acknowledgement) in state.acknowledgements {
            let missing = acknowledgement.missing.filter { state.table.owes(to: $0, acknowledgement.vector) }
            state.acknowledgements[id]?.missing = missing
            if missing.isEmpty {
                state.acknowledgements[id] = nil
                signals.append(acknowledgement.signal)
            }
        }
        if !state.isBehind {
            signals += state.catchUps.values
            state.catchUps = [:]
        }
        if !state.notices.isEmpty, !state.isNotifying {
            state.isNotifying = true
            commands.append(.notify)
        }
        return (commands, signals)
    }

    /// Starts pushes to those who lack some of these numbers and are not being told already.
    func kick(_ vector: [AgentID: UInt64]) {
        let due = state.withLockedValue { state in
            let due = state.table.owing(vector).subtracting(state.pushing)
            state.pushing.formUnion(due)
            return due
        }
        for agent in due { continuation.yield(.push(agent)) }
    }

    /// Starts a push to a peer that lacks something, unless it is being told already.
    func kick(_ agent: AgentID) {
        let isDue = state.withLockedValue { state in
            !state.table.owed(to: agent).isEmpty && state.pushing.insert(agent).inserted
        }
        if isDue { continuation.yield(.push(agent)) }
    }
}
