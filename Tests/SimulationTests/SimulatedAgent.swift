// SPDX-License-Identifier: Apache-2.0

import Content
import Peers
import Storage

/// The shell of an agent's policies under simulated time: what ``PeerService``, ``Directory`` and ``Replicator`` are in a
/// process. It decides nothing: every decision is a call of the real ``Replication``, ``HybridClock`` and
/// ``PublicationMessage``.
final class SimulatedAgent {
    unowned let world: World
    let index: Int
    let site: Int
    let configuration: PeersConfiguration
    let address: PeerAddress
    /// What its disk keeps.
    let replica: any Replica
    /// Objects that it holds whole; on disk too.
    var held: Set<Digest> = []

    /// What of its catalog would survive a power loss.
    var synced = MemoryReplica.Contents()

    /// How far its wall clock is ahead of true time, milliseconds.
    var drift: Int64 = 0
    private(set) var isUp = false
    /// What it had acknowledged may be gone.
    var hasLostPower = false
    /// Its node is gone for good.
    var isGone = false
    /// Counts its processes: what an earlier one began has no effect.
    private(set) var life = 0

    private(set) var replication: Replication
    private(set) var clock = HybridClock()
    private var waiters: [UInt64: (Bool) -> Void] = [:]
    /// When a peer was last known not to live; looked at where somebody wants to know.
    private var missedAt: [AgentID: Int64] = [:]
    private var watchCount = 0
    /// Clocks that it refused.
    private(set) var refusals = 0

    init(_ world: World, index: Int, site: Int, configuration: PeersConfiguration, replica: any Replica) {
        self.world = world
        self.index = index
        self.site = site
        self.configuration = configuration
        self.replica = replica
        address = configuration.listen
        replication = Replication(own: replica.agent, configuration: configuration, mine: [:], recovered: 0)
    }

    var id: AgentID { replica.agent }
    var place: (index: Int, site: Int) { (index, site) }
    var limits: PeersConfiguration.Limits { configuration.limits }
    var isBehind: Bool { replication.isBehind }

    /// Whether an entry of this agent may be refused by another because of their clocks.
    func isFarAhead(of other: SimulatedAgent) -> Bool {
        let reading = Int64(clock.reading.milliseconds) - Int64(other.wall)
        return reading > Int64(HybridClock.driftMax) - 1000
    }

    private var wall: UInt64 { UInt64(1_700_000_000_000 + world.now / 1000 + drift) }
    private var elapsed: Duration { .microseconds(world.now) }

    private var identity: Identity {
        Identity(
            agent: id,
            name: "n\(index)",
            site: configuration.site,
            port: UInt16(address.port),
            links: configuration.links.map(\.site)
        )
    }

    // MARK: Life

    func start() {
        guard !isUp else { return }
        isUp = true
        life += 1
        if life > 1 { attempt { try replica.reopen() } }
        // The numbers that an opening skips are on the disk before one above them is given.
        sync()
        attempt {
            clock = HybridClock(after: try replica.clock())
            replication = Replication(
                own: id,
                configuration: configuration,
                mine: try replica.vector(),
                recovered: replica.recoveredNumber
            )
        }
        tick(life)
    }

    /// The process ends at once; the disk keeps what it has.
    func stop() {
        isUp = false
        life += 1
        waiters = [:]
        watchCount = 0
    }

    private func tick(_ of: Int) {
        guard life == of else { return }
        perform(replication.tick(now: elapsed))
        if world.dice.chance(0.03) { sync() }
        let step = limits.heartbeat.microseconds / 10
        world.plan(after: step + world.dice.within(0...step / 10)) { [self] in tick(of) }
    }

    func attempt(_ body: () throws -> Void) {
        do { try body() } catch { world.truth.fail("n\(index): \(error)") }
    }

    // MARK: Publications

    func nextVersion() -> Version {
        Version(time: clock.next(wallMilliseconds: wall), agent: id)
    }

    /// - Parameter done: whether all live peers acknowledged, and not the time-out ended it.
    func publish(_ changes: [Publication.Change], _ done: @escaping (Bool) -> Void = { _ in }) {
        attempt {
            let publications = try replica.publish(changes)
            world.truth.published(publications)
            guard let last = publications.last else { return done(true) }
            afterDisk { [self] in
                wait(replication.forward([id: last.number], except: nil), limit: limits.acknowledge, done)
            }
        }
    }

    /// What goes on after a commit, on another thread: other events may come between.
    private func afterDisk(_ body: @escaping () -> Void) {
        let before = life
        world.plan(after: world.dice.within(0...2000)) { [self] in if life == before { body() } }
    }

    /// Begins to note who is missed.
    func beginWatch() -> Int64 {
        watchCount += 1
        return world.now
    }

    /// - Returns: the agents that were alive for this one all the time.
    func endWatch(_ begun: Int64) -> Set<AgentID> {
        noteMissed()
        watchCount -= 1
        let alive = replication.membership.all.filter { $0.state == .alive }.map(\.identity.agent)
        return Set(alive.filter { missedAt[$0] ?? -1 < begun })
    }

    private func noteMissed() {
        for peer in replication.membership.all where peer.state != .alive { missedAt[peer.identity.agent] = world.now }
    }

    private func wait(
        _ begun: (waiter: UInt64?, actions: [Replication.Action]),
        limit: Duration,
        _ done: @escaping (Bool) -> Void
    ) {
        guard let waiter = begun.waiter else {
            perform(begun.actions)
            return done(true)
        }
        waiters[waiter] = done
        perform(begun.actions)
        guard waiters[waiter] != nil else { return }
        let before = life
        world.plan(after: limit.microseconds) { [self] in
            guard life == before, let done = waiters.removeValue(forKey: waiter) else { return }
            replication.gaveUp(waiter)
            done(false)
        }
    }

    /// Asks those that are ahead.
    func catchUp(limit: Duration, _ done: @escaping (Bool) -> Void) {
        let (waiter, actions) = replication.catchUp()
        wait((waiter, actions), limit: limit, done)
    }

    private func receive(
        _ message: PublicationMessage,
        from sender: AgentID,
        _ done: @escaping ([AgentID: UInt64]) -> Void
    ) {
        let (admitted, refused) = message.admitted(by: &clock, wallMilliseconds: wall)
        refusals += refused.count
        attempt {
            _ = try replica.apply(admitted.publications, spans: admitted.spans)
            let vector = try replica.vector().filter { message.spans.keys.contains($0.key) }
            afterDisk { [self] in
                perform(replication.received(vector, claimed: admitted.spans.mapValues(\.upTo), from: sender))
                removeUnheld(Unheld.candidates(in: admitted.publications))
                done(vector)
            }
        }
    }

    private func removeUnheld(_ manifests: Set<Digest>) {
        attempt {
            var changes: [Publication.Change] = []
            for manifest in manifests.sorted() {
                changes += Unheld.removals(
                    of: try replica.keys(of: manifest).compactMap { try replica.entry($0) },
                    by: id,
                    holders: try replica.holders(of: manifest),
                    hasGivenUp: try replica.hasGivenUp(manifest)
                )
            }
            if !changes.isEmpty { publish(changes) }
        }
    }

    private func beat() {
        attempt {
            let number = try replica.skipNumber()
            perform(replication.forward([id: number], except: nil).actions)
        }
    }

    private func bury(_ agents: Set<AgentID>) {
        world.note("n\(index) takes \(agents.map { "n\($0.low - 1)" }.sorted()) for gone")
        world.truth.buried.formUnion(agents)
        attempt {
            let changes = try replica.objects(heldOnlyBy: agents).flatMap { manifest in
                Unheld.removals(
                    of: try replica.keys(of: manifest).compactMap { try replica.entry($0) },
                    by: id,
                    holders: [],
                    hasGivenUp: true
                )
            }
            if !changes.isEmpty { publish(changes) }
        }
    }

    /// The names of its site do not stand for an agent any more.
    func forget(_ address: PeerAddress) {
        var rest = configuration
        rest.peers.removeAll { $0 == address }
        perform(replication.configure(Replication.addresses(rest, resolved: [])))
    }

    // MARK: Actions

    private func perform(_ actions: [Replication.Action]) {
        if watchCount > 0 { noteMissed() }
        for action in actions.sorted(by: SimulatedAgent.isBefore) {
            switch action {
            case .call(let address): call(address)
            case .push(let agent): push(to: agent)
            case .pull(let agent): pull(from: agent)
            case .recover(let agent): recover(from: agent, after: replication.recoveredNumber)
            case .done(let waiter): waiters.removeValue(forKey: waiter)?(true)
            case .beat: beat()
            case .bury(let agents): bury(agents)
            }
        }
    }

    /// The order of dictionaries differs from process to process, and a seed must not.
    private static func isBefore(_ a: Replication.Action, _ b: Replication.Action) -> Bool { rank(a) < rank(b) }

    private static func rank(_ action: Replication.Action) -> (Int, UInt64, String) {
        switch action {
        case .call(let address): (0, 0, address.host)
        case .push(let agent): (1, agent.low, "")
        case .pull(let agent): (2, agent.low, "")
        case .recover(let agent): (3, agent.low, "")
        case .done(let waiter): (4, waiter, "")
        case .beat: (5, 0, "")
        case .bury: (6, 0, "")
        }
    }

    private func heartbeat(to site: String) -> Heartbeat {
        replication.heartbeat(from: identity, to: site, clock: nextVersion().time, settling: [])
    }

    private func call(_ address: PeerAddress) {
        let beat = heartbeat(to: replication.membership.expectedSite(at: address))
        world.send(.heartbeat(beat), from: self, to: address, limit: limits.answer) { [self] outcome in
            if case .answer(.heartbeat(let heard)) = outcome {
                note(heard)
                return perform(replication.answered(heard, at: address, now: elapsed))
            }
            perform(replication.callFailed(address, refused: outcome.isRefusal, now: elapsed))
        }
    }

    private func note(_ heartbeat: Heartbeat) {
        guard heartbeat.identity.agent != id else { return }
        do { try HybridClock.check(heartbeat.clock, wallMilliseconds: wall) } catch { refusals += 1 }
    }

    private func gather(_ after: [AgentID: UInt64], wait: Duration = .zero) throws -> PublicationMessage {
        try PublicationMessage.gather(after, first: id, wait: wait, limits: limits) { publisher, number, limit in
            try replica.publications(of: publisher, after: number, limit: limit)
        }
    }

    private func push(to agent: AgentID) {
        guard let (peer, after) = replication.owed(to: agent) else { return }
        attempt {
            let message = try gather(after, wait: limits.acknowledge)
            let limit = limits.answer + limits.acknowledge
            world.send(.push(message), from: self, to: peer.address, limit: limit) { [self] outcome in
                if case .answer = outcome {
                    perform(replication.acknowledged(message.spans.mapValues(\.upTo), by: agent))
                    return push(to: agent)
                }
                perform(replication.pushFailed(agent, isDead: outcome.isRefusal, isSilent: true))
            }
        }
    }

    private func pull(from agent: AgentID) {
        guard let (peer, after) = replication.gaps(at: agent) else { return perform(replication.pullEnded(agent)) }
        world.note(
            "n\(index) asks n\(agent.low - 1) for what follows \(after.map { "n\($0.key.low - 1):\($0.value)" })")
        world.traffic.pulls.messages += 1
        world.truth.pulled(by: self, from: peer.address, after)
        world.send(.publications(after), from: self, to: peer.address, limit: limits.silence) { [self] outcome in
            guard case .answer(.publications(let message)) = outcome else {
                perform(replication.suspect(agent, isDead: outcome.isRefusal))
                return perform(replication.pullEnded(agent))
            }
            guard !message.spans.isEmpty else { return perform(replication.pullEnded(agent)) }
            receive(message, from: agent) { [self] vector in
                let isProgress = after.contains { vector[$0.key] ?? 0 > $0.value }
                if isProgress { pull(from: agent) } else { perform(replication.pullEnded(agent)) }
            }
        }
    }

    private func recover(from agent: AgentID, after number: UInt64) {
        guard let peer = replication.membership.peer(agent),
            number < replication.recoveredNumber + Catalog.numberGap
        else { return }
        let id = id
        world.send(.publications([id: number]), from: self, to: peer.address, limit: limits.silence) {
            [self] outcome in
            guard case .answer(.publications(let message)) = outcome else {
                perform(replication.suspect(agent, isDead: outcome.isRefusal))
                return replication.recoveryFailed(agent)
            }
            guard let span = message.spans[id], span.upTo > number else { return }
            receive(message, from: agent) { [self] _ in recover(from: agent, after: span.upTo) }
        }
    }

    // MARK: Serving

    func serve(_ request: Request, _ caller: SimulatedAgent, _ answer: @escaping (Answer) -> Void) {
        attempt {
            switch world.usesCoding ? try request.coded(limits) : request {
            case .heartbeat(let heartbeat):
                note(heartbeat)
                perform(replication.called(heartbeat, from: caller.address.host, now: elapsed).actions)
                answer(.heartbeat(self.heartbeat(to: caller.configuration.site)))
            case .publications(let after):
                answer(.publications(try gather(after)))
            case .push(let message):
                receive(message, from: caller.id) { [self] vector in
                    guard configuration.isGateway else { return answer(.taken) }
                    relay(message, vector, caller.id) { answer(.taken) }
                }
            }
        }
    }

    /// The sender waits for those behind us too; a tenth is left for the way back.
    private func relay(
        _ message: PublicationMessage,
        _ vector: [AgentID: UInt64],
        _ caller: AgentID,
        _ done: @escaping () -> Void
    ) {
        let wait = min(Duration.milliseconds(Int64(message.wait)), limits.acknowledge) * 9 / 10
        let deadline = elapsed + wait
        let forward = { [self] (vector: [AgentID: UInt64]) in
            let left = max(.zero, deadline - elapsed)
            self.wait(replication.forward(vector, except: caller), limit: left) { _ in done() }
        }
        guard message.spans.contains(where: { vector[$0.key] ?? 0 < $0.value.upTo }) else { return forward(vector) }
        // Just met: what was before is still on its way, and only gapless numbers can be told onward.
        catchUp(limit: wait) { [self] _ in
            forward(replication.table.mine.filter { message.spans.keys.contains($0.key) })
        }
    }
}
