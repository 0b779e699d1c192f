// SPDX-License-Identifier: Apache-2.0

public import Content
import Logging
import Metrics
import NIOConcurrencyHelpers
import NIOPosix
public import Storage

/// The replicated directory: all entries and holdings, a copy of which every agent keeps in its catalog.
///
/// - A look-up is local. ``absenceIsCertain()`` says whether a miss may be believed.
/// - A publication is committed here, told to observers, then to live peers; it returns when they have it, or after
///   one second (P5). What a peer missed it asks for when a heartbeat tells it so: nothing depends on a push.
/// - The highest version of a key wins everywhere, whatever the order in which versions arrive.
public final class Directory: Sendable {
    struct State {
        var clock: HybridClock
        var observers: [@Sendable ([Entry]) async -> Void] = []
        var waiters: [Key: [UInt64: Signal]] = [:]
        var counter: UInt64 = 0
        var localSettling: Set<Key> = []
        var peerSettling: [Key: ContinuousClock.Instant] = [:]
        var reported: Set<AgentID> = []
    }

    public let agent: AgentID
    public let catalog: Catalog
    let replicator: Replicator
    let limits: PeersConfiguration.Limits
    let metrics: PeersMetrics
    let state: NIOLockedValueBox<State>
    private let wall: @Sendable () -> UInt64
    private let logger: Logger
    private let queue: PublicationQueue

    init(
        catalog: Catalog,
        configuration: PeersConfiguration,
        metrics: PeersMetrics,
        wall: @escaping @Sendable () -> UInt64,
        logger: Logger
    ) throws(StorageError) {
        self.agent = catalog.agent
        self.catalog = catalog
        self.limits = configuration.limits
        self.metrics = metrics
        self.wall = wall
        self.logger = logger
        self.queue = PublicationQueue(catalog: catalog, agent: catalog.agent)
        self.state = NIOLockedValueBox(State(clock: HybridClock(after: try catalog.clock())))
        self.replicator = Replicator(
            own: catalog.agent,
            configuration: configuration,
            mine: try catalog.vector(),
            recovered: catalog.recoveredNumber
        )
    }

    /// The live entry of a key, as far as this agent knows. Local: one indexed read.
    public func lookup(_ key: Key) throws(StorageError) -> Entry? {
        guard let entry = try catalog.entry(key), !entry.isTombstone else { return nil }
        return entry
    }

    /// A version above all that this agent gave or saw.
    public func nextVersion() -> Version {
        let now = wall()
        return Version(time: state.withLockedValue { $0.clock.next(wallMilliseconds: now) }, agent: agent)
    }

    /// The clock's reading, for heartbeats: a new one, so that it is above everything published.
    func clockReading() -> HybridTime { nextVersion().time }

    /// Publishes changes: here, to observers, to live peers. An entry must carry a version of ``nextVersion()``.
    ///
    /// - Parameter patient: nobody waits for it in particular, so it may wait some milliseconds for company;
    ///   ``hurry()`` ends that.
    /// - Returns: what was published; a change whose key has a higher version by now is not among it.
    /// - Throws: ``StorageError``; nothing was published then.
    public func publish(_ changes: [Publication.Change], patient: Bool = false) async throws -> [Publication] {
        let publications = try await queue.publish(ChangeGroup(changes), patient: patient) ?? []
        await spread(publications)
        return publications
    }

    /// Publishes changes that follow from what was seen, all of them or none.
    ///
    /// - Returns: false where a key names something else by now, such as what another agent published meanwhile:
    ///   nothing was published then.
    /// - Throws: ``StorageError``; nothing was published then either.
    public func publish(_ group: ChangeGroup) async throws -> Bool {
        guard let publications = try await queue.publish(group, patient: false) else { return false }
        await spread(publications)
        return true
    }

    /// Ceases to hold objects: see ``Catalog/evict(_:by:sparingPinned:)``.
    ///
    /// - Returns: the objects that are not held any more.
    public func evict(_ manifests: [Digest], sparingPinned: Bool = true) async throws -> [Digest] {
        let (catalog, agent) = (catalog, agent)
        let result = try await NIOThreadPool.singleton.runIfActive {
            try catalog.evict(manifests, by: agent, sparingPinned: sparingPinned)
        }
        await spread(result.publications)
        return result.evicted
    }

    /// Tells observers and live peers what was committed.
    private func spread(_ publications: [Publication]) async {
        guard let last = publications.last else { return }
        await tell(publications.compactMap(\.entry))
        metrics.publicationsSent.increment(by: publications.count)
        await replicator.published(number: last.number, limit: limits.acknowledge)
    }

    /// Somebody waits for publications that were not in a hurry: they are made at once.
    public func hurry() { queue.hurry() }

    /// Calls `observer` with entries that just won, local and remote ones, tombstones too. It is awaited before the
    /// publication is acknowledged to anybody. Two calls may overlap: compare versions.
    public func observe(_ observer: @escaping @Sendable ([Entry]) async -> Void) {
        state.withLockedValue { $0.observers.append(observer) }
    }

    /// Whether a miss may be answered at once: no live peer is known to have anything that is missing here.
    public func absenceIsCertain() -> Bool { !replicator.isBehind }

    /// Asks those that are ahead for what is missing here.
    ///
    /// - Returns: whether nothing is missing any more; false after the time-out.
    public func catchUp(timeout: Duration) async -> Bool { await replicator.catchUp(limit: timeout) }

    /// Waits until a key has a live entry above a version.
    ///
    /// - Parameter since: the version that is known already; nil: any will do.
    /// - Returns: the entry, or nil after the time-out or where the task is cancelled.
    public func waitForChange(of key: Key, since: Version? = nil, timeout: Duration) async -> Entry? {
        let deadline = ContinuousClock.now + timeout
        while !Task.isCancelled {
            let signal = Signal()
            let id = state.withLockedValue { state in
                state.counter += 1
                state.waiters[key, default: [:]][state.counter] = signal
                return state.counter
            }
            defer {
                state.withLockedValue { state in
                    state.waiters[key]?[id] = nil
                    if state.waiters[key]?.isEmpty == true { state.waiters[key] = nil }
                }
            }
            // Looked up after the signal is in place, so that no publication falls between the two.
            if let entry = try? lookup(key), since.map({ entry.version > $0 }) ?? true { return entry }
            let left = deadline - ContinuousClock.now
            guard left > .zero, await signal.wait(limit: left) else { return nil }
        }
        return nil
    }

    /// Tells observers and those who wait for a key.
    private func tell(_ entries: [Entry]) async {
        guard !entries.isEmpty else { return }
        let (observers, signals) = state.withLockedValue { state in
            var signals: [Signal] = []
            for entry in entries {
                state.peerSettling[entry.key] = nil
                signals += state.waiters[entry.key]?.values.map { $0 } ?? []
            }
            return (state.observers, signals)
        }
        for observer in observers { await observer(entries) }
        for signal in signals { signal.set() }
    }

    /// Applies what a peer sent.
    ///
    /// - Parameter ownUpTo: the number up to which it may tell us our own publications; nil: not at all.
    /// - Returns: per agent of the message the number that is now here.
    /// - Throws: ``ContentError`` `malformed` where a span cannot be: nothing of the message is applied then.
    func receive(
        _ message: PublicationMessage,
        from sender: AgentID,
        ownUpTo: UInt64? = nil
    ) async throws -> [AgentID: UInt64] {
        try check(message, ownUpTo: ownUpTo)
        let now = wall()
        let (admitted, refused) = state.withLockedValue { message.admitted(by: &$0.clock, wallMilliseconds: now) }
        for (agent, error) in refused { report(error, of: agent) }
        metrics.publicationsReceived.increment(by: admitted.publications.count)
        let catalog = self.catalog
        let applied = try await NIOThreadPool.singleton.runIfActive {
            (try catalog.apply(admitted.publications, spans: admitted.spans), try catalog.vector())
        }
        await tell(applied.0.won)
        let vector = applied.1.filter { message.spans.keys.contains($0.key) }
        replicator.update { $0.received(vector, claimed: admitted.spans.mapValues(\.upTo), from: sender) }
        let unheld = Unheld.candidates(in: admitted.publications)
        if !unheld.isEmpty { replicator.continuation.yield(.remove(unheld)) }
        return vector
    }

    /// How far above what is known of an agent its numbers may be: a million of its starts, each of which skips a
    /// million, and far below where numbers end.
    private static let numberSkipMax: UInt64 = 1 << 40

    private func check(_ message: PublicationMessage, ownUpTo: UInt64?) throws(ContentError) {
        let known = replicator.mine
        var agentCount = known.count
        for (agent, span) in message.spans {
            if agent == self.agent {
                // Nobody else numbers what we publish.
                guard let ownUpTo, span.upTo <= ownUpTo else {
                    throw ContentError(.malformed, "a peer tells this agent its own publications up to \(span.upTo)")
                }
                continue
            }
            if known[agent] == nil { agentCount += 1 }
            guard span.upTo <= (known[agent] ?? 0) + Directory.numberSkipMax else {
                throw ContentError(
                    .malformed, "publications of \(agent) up to \(span.upTo); \(known[agent] ?? 0) is known")
            }
        }
        // Holdings that go along with an entry may lie in no span.
        var strangers: Set<AgentID> = []
        for publication in message.publications {
            let agent = publication.agent
            let most = agent == self.agent ? ownUpTo ?? 0 : (known[agent] ?? 0) + Directory.numberSkipMax
            guard publication.number <= most else {
                throw ContentError(.malformed, "publication \(publication.number) of \(agent); at most \(most) may be")
            }
            if known[agent] == nil, message.spans[agent] == nil { strangers.insert(agent) }
        }
        agentCount += strangers.count
        guard agentCount <= limits.agentsMax else {
            throw ContentError(.malformed, "publications of \(agentCount) agents; \(limits.agentsMax) may be known")
        }
    }

    /// Of our own publications that a power loss took and a peer gave back: ceases to hold what is not whole here.
    func giveUpLost(_ publications: [Publication]) async throws {
        let catalog = self.catalog
        let lost = try await NIOThreadPool.singleton.runIfActive {
            try publications.compactMap(\.manifest).filter { try catalog.object($0)?.isWhole != true }
        }
        if !lost.isEmpty { _ = try await evict(lost, sparingPinned: false) }
    }

    /// Removes the keys of those objects that nobody holds any more, where that falls to this agent (P1).
    func removeUnheld(_ manifests: Set<Digest>) async throws {
        let catalog = self.catalog
        let changes = try await NIOThreadPool.singleton.runIfActive {
            var changes: [Publication.Change] = []
            for manifest in manifests where try catalog.hasGivenUp(manifest) {
                let entries = try catalog.keys(of: manifest).compactMap { try catalog.entry($0) }
                changes += Unheld.removals(
                    of: entries,
                    by: catalog.agent,
                    holders: try catalog.holders(of: manifest),
                    hasGivenUp: true
                )
            }
            return changes
        }
        if !changes.isEmpty { _ = try await publish(changes) }
    }

    /// Gives a number to nothing and tells it: a sign of life for those who are told through others. Forgets removals
    /// that are old enough.
    func beat() async throws {
        let (catalog, agent) = (catalog, agent)
        let (now, kept) = (wall(), UInt64(limits.tombstone.components.seconds) * 1000)
        let number = try await NIOThreadPool.singleton.runIfActive {
            if now > kept { _ = try catalog.prune(olderThan: now - kept) }
            return try catalog.skipNumber(of: agent)
        }
        await replicator.published(number: number, limit: limits.acknowledge)
    }

    /// Removes the keys of objects that none but these agents hold (P1).
    ///
    /// - Parameter mayRemove: which keys may be removed from here.
    /// - Returns: how many were removed.
    func bury(_ agents: Set<AgentID>, mayRemove: @escaping @Sendable (Key) -> Bool) async throws -> Int {
        let catalog = self.catalog
        var count = 0
        var last: Digest?
        while true {
            let (page, changes) = try await NIOThreadPool.singleton.runIfActive { [last] in
                let page = try catalog.objects(heldOnlyBy: agents, after: last, limit: Unheld.objectsAtOnce)
                let changes = try page.flatMap { manifest in
                    let entries = try catalog.keys(of: manifest).filter(mayRemove).compactMap { try catalog.entry($0) }
                    return Unheld.removals(of: entries, by: catalog.agent, holders: [], hasGivenUp: true)
                }
                return (page, changes)
            }
            if !changes.isEmpty { count += try await publish(changes).count }
            guard page.count == Unheld.objectsAtOnce else { return count }
            last = page.last
        }
    }

    /// Looks at another's clock, and reports one that is too far ahead. It is not taken over: versions are above every
    /// version seen, and one clock that is wrong within the limit shall not set those of all that hear it.
    func check(clock time: HybridTime, of other: AgentID) {
        do throws(ContentError) {
            try HybridClock.check(time, wallMilliseconds: wall())
        } catch {
            report(error, of: other)
        }
    }

    private func report(_ error: ContentError, of other: AgentID) {
        metrics.drifted.increment()
        let isNew = state.withLockedValue { state in
            state.reported.count < limits.contactsMax && state.reported.insert(other).inserted
        }
        if isNew { logger.error("publications refused", metadata: ["peer": "\(other)", "error": "\(error)"]) }
    }
}

extension Publication {
    /// The manifest of which it says that it is held.
    fileprivate var manifest: Digest? {
        switch change {
        case .entry(let entry): entry.manifest
        case .holding(let manifest, let held): held ? manifest : nil
        }
    }

    /// The entry, where it is one.
    var entry: Entry? {
        if case .entry(let entry) = change { entry } else { nil }
    }
}
