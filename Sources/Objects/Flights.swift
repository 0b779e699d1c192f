// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import NIOConcurrencyHelpers
import Peers
import Storage

/// Fetches chunks that are missing here, each once, from the sources that the level of the asker allows.
///
/// A flight's chunks end in the store and its waiters are told one by one, so a follower streams behind the bytes.
/// Nobody holds memory for another: a waiter that is told reads the store.
final class Flights: Sendable {
    fileprivate struct Flight {
        let request: ChunkRequest
        let reach: FlightTable.Reach
        /// The block of which the chunks are, where they are of one.
        let block: Digest?
        var priority: Priority
        var askers: Set<UInt64>
        /// Who is being asked just now.
        var source: Source?
    }

    fileprivate struct State {
        var table = FlightTable()
        var nextWaiter: FlightTable.WaiterID = 1
        var continuations: [FlightTable.WaiterID: CheckedContinuation<Bool, Never>] = [:]
        var flights: [FlightTable.FlightID: Flight] = [:]
        /// Waiters that were cancelled before their continuation was there.
        var cancelled: Set<FlightTable.WaiterID> = []
        /// Waiters that joined a flight which goes less far than they would.
        var underserved: Set<FlightTable.WaiterID> = []
    }

    /// What a caller wants, and how urgently.
    struct Want: Sendable {
        var manifest: Digest
        var level: FetchLevel
        var priority: Priority
        /// The block of which all that is wanted is: who owns it is asked before a gateway.
        var block: Digest?
        /// The request of a peer for which this is done, so that its promotion reaches what it waits for.
        var asker: UInt64?
    }

    private let store: Store
    private let peers: PeerService
    private let jobs: Jobs
    private let logger: Logger
    private let statistics: FetchStatistics
    /// How long a source that a reader waits for may give nothing before the next one is asked.
    private let stall: Duration
    private let state = NIOLockedValueBox(State())
    private let pace = NIOLockedValueBox(SourcePace())
    private let start = ContinuousClock.now
    private let links = NIOLockedValueBox<LinkFetch?>(nil)
    let relatives: Relatives

    init(
        store: Store,
        peers: PeerService,
        jobs: Jobs,
        statistics: FetchStatistics,
        stall: Duration,
        logger: Logger
    ) {
        self.stall = stall
        self.store = store
        self.peers = peers
        self.jobs = jobs
        self.statistics = statistics
        self.logger = logger
        relatives = Relatives(store: store, peers: peers)
    }

    /// Names who fetches over links; before the first request.
    func setLinks(_ fetch: LinkFetch) { links.withLockedValue { $0 = fetch } }

    /// How often a caller goes on who joined a flight that went less far than its own would.
    private static let attemptsMax = 4
    /// How long the owner of a block may give nothing to a waiting reader before the gateway is asked: longer than what
    /// a slow line needs for the blocks before it, and asking twice costs the site's network only.
    private static let ownerStall = Duration.seconds(10)

    /// Brings those of `digests` that are not in the store, in one request per source.
    ///
    /// - Returns: true where all of them are in the store now; false where no source had some of them.
    /// - Throws: `CancellationError`; the flight goes on without the caller.
    func ensure(_ digests: [Digest], _ want: Want) async throws -> Bool {
        var seen = Set<Digest>()
        let wanted = digests.filter { seen.insert($0).inserted }
        for _ in 0..<Flights.attemptsMax {
            let missing = wanted.filter { !store.chunks.contains($0) }
            guard !missing.isEmpty else { return true }
            let (arrived, isServed) = try await wait(for: missing, want)
            if arrived { return true }
            if isServed { break }
        }
        // Whoever is told that a flight ended may have all that it wanted from another one.
        return wanted.allSatisfy { store.chunks.contains($0) }
    }

    /// How far a flight for this goes from here.
    private func reach(of want: Want) -> FlightTable.Reach {
        switch want.level {
        case .store, .site: .site
        // Asked as a gateway by who takes this agent for one: it has no links.
        case .gateway: peers.configuration.isGateway ? .links : .site
        case .owner: .links
        case .reader: want.block.flatMap { peers.owner(of: $0) } == nil ? .links : .owners
        }
    }

    /// - Returns: whether all arrived, and whether the caller's level was gone to for all of them.
    private func wait(for missing: [Digest], _ want: Want) async throws -> (arrived: Bool, isServed: Bool) {
        let waiter = state.withLockedValue { state in
            defer { state.nextWaiter += 1 }
            return state.nextWaiter
        }
        defer {
            state.withLockedValue { state in
                state.cancelled.remove(waiter)
                state.underserved.remove(waiter)
            }
        }
        return try await withTaskCancellationHandler {
            try Task.checkCancellation()
            let arrived = await withCheckedContinuation { continuation in
                join(missing, want, waiter: waiter, continuation)
            }
            try Task.checkCancellation()
            return (arrived, state.withLockedValue { $0.underserved.remove(waiter) == nil })
        } onCancel: {
            let continuation = state.withLockedValue { state -> CheckedContinuation<Bool, Never>? in
                state.table.left(waiter)
                if let continuation = state.continuations.removeValue(forKey: waiter) { return continuation }
                state.cancelled.insert(waiter)
                return nil
            }
            continuation?.resume(returning: false)
        }
    }

    private func join(
        _ missing: [Digest],
        _ want: Want,
        waiter: FlightTable.WaiterID,
        _ continuation: CheckedContinuation<Bool, Never>
    ) {
        typealias Start = (FlightTable.FlightID, ChunkRequest)
        let reach = reach(of: want)
        let result = state.withLockedValue { state -> (Start?, [Flight])? in
            // Under the lock: a cancellation comes either before it and is seen here, or finds the continuation.
            guard !state.cancelled.contains(waiter) else { return nil }
            let joined = state.table.join(missing, waiter: waiter, reach: reach)
            state.continuations[waiter] = continuation
            if reach > .site, joined.others.contains(where: { state.flights[$0]?.reach == .site }) {
                state.underserved.insert(waiter)
            }
            let slower = joined.others.compactMap { state.promote($0, to: want.priority, for: want.asker) }
            guard !joined.new.isEmpty else { return (nil, slower) }
            let request = ChunkRequest(
                manifest: want.manifest,
                chunks: joined.new,
                level: want.level,
                priority: want.priority
            )
            state.flights[joined.flight] = Flight(
                request: request,
                reach: reach,
                block: want.block,
                priority: want.priority,
                askers: want.asker.map { [$0] } ?? []
            )
            return ((joined.flight, request), slower)
        }
        guard let (start, promote) = result else { return continuation.resume(returning: false) }
        tellPromoted(promote, want.priority)
        guard let (flight, request) = start else { return }
        let submitted = jobs.submit { [self] in await fly(flight, request) }
        if !submitted { end(flight, request) }
    }

    /// A peer's request has become more urgent: so has what is fetched for it.
    func promote(asker: UInt64, to priority: Priority) {
        let promoted = state.withLockedValue { state in
            state.flights.filter { $0.value.askers.contains(asker) }.keys
                .compactMap { state.promote($0, to: priority, for: nil) }
        }
        tellPromoted(promoted, priority)
    }

    /// Tells the sources that are being asked; one that is asked later gets the new priority with the request.
    private func tellPromoted(_ flights: [Flight], _ priority: Priority) {
        for flight in flights {
            guard let source = flight.source else { continue }
            _ = jobs.submit { [self] in
                if let links = links(to: source), await links.promote(flight.request, to: priority, at: source) {
                    return
                }
                await peers.promote(flight.request.id, at: source, to: priority)
            }
        }
    }

    private func links(to source: Source) -> LinkFetch? { source.kind == .link ? links.withLockedValue { $0 } : nil }

    /// One flight: source after source for what is still missing.
    private func fly(_ flight: FlightTable.FlightID, _ request: ChunkRequest) async {
        var rest = request.chunks.filter { !store.chunks.contains($0) }
        // Those who hold what the object was made from hold what it has in common with it.
        let related = request.level > .site ? relatives.bases(of: request.manifest) : []
        let block = state.withLockedValue { $0.flights[flight]?.block }
        let sources = peers.sources(for: request.manifest, level: request.level, related: related, block: block)
        let ordered = pace.withLockedValue { $0.ordered(sources, now: start.duration(to: .now)) }
        let holders = ordered.filter { $0.kind == .holder }
        var slow: [Source] = []
        // A holder that is slow is left for the next one, and asked again before anybody who holds nothing (P7).
        if holders.count > 1 {
            for holder in holders where !rest.isEmpty {
                if await !turn(of: holder, for: request, &rest, flight, isPatient: false) { slow.append(holder) }
            }
        }
        for source in (holders.count > 1 ? slow : holders) + ordered.dropFirst(holders.count) where !rest.isEmpty {
            _ = await turn(of: source, for: request, &rest, flight, isPatient: true)
        }
        for digest in request.chunks where store.chunks.contains(digest) { wake(digest) }
        end(flight, request)
    }

    /// Asks one source for what is still missing.
    ///
    /// - Returns: false where it was left because it was slow.
    private func turn(
        of source: Source,
        for request: ChunkRequest,
        _ rest: inout [Digest],
        _ flight: FlightTable.FlightID,
        isPatient: Bool
    ) async -> Bool {
        guard !Task.isCancelled else { return true }
        let priority = state.withLockedValue { state in
            state.flights[flight]?.source = source
            return state.flights[flight]?.priority ?? request.priority
        }
        let part = ChunkRequest(
            id: request.id,
            manifest: request.manifest,
            chunks: rest,
            level: request.level,
            priority: priority
        )
        let patience = isPatient ? nil : pace.withLockedValue { $0.patience() }
        let wasSlow = NIOLockedValueBox(false)
        do {
            try await ask(source, for: part, flight, patience: patience, wasSlow)
        } catch is CancellationError {
            return true
        } catch {
            statistics.failed()
            logger.info("source failed", metadata: ["source": "\(source)", "error": "\(error)"])
        }
        rest.removeAll { store.chunks.contains($0) }
        return !wasSlow.withLockedValue { $0 }
    }

    /// Asks one source: a link first for blocks, and by digest for what that left. What it gives ends in the store.
    ///
    /// - Parameter patience: how long it may give nothing where others hold the same; nil: as long as any source may.
    private func ask(
        _ source: Source,
        for request: ChunkRequest,
        _ flight: FlightTable.FlightID,
        patience: Duration?,
        _ wasSlow: NIOLockedValueBox<Bool>
    ) async throws {
        let got = NIOLockedValueBox((count: 0, last: ContinuousClock.now))
        let limit = patience ?? (source.kind == .owner ? min(stall, Flights.ownerStall) : stall)
        try await Stall.bounded(by: limit) { [statistics] in
            // All flights over a link share one line: while it gives anything, it has not stalled.
            got.withLockedValue { $0.count } + (source.kind == .link ? Int(statistics.totals.link) : 0)
        } error: { [self] in
            // What nobody waits for may stand behind others for as long as it likes.
            let priority = state.withLockedValue { $0.flights[flight]?.priority }
            guard priority == .reader else { return nil }
            if patience != nil {
                wasSlow.withLockedValue { $0 = true }
                pace.withLockedValue { $0.wasSlow(source.agent, after: limit, now: start.duration(to: .now)) }
            }
            return ObjectError(.unavailable, "\(source.name) gave nothing for \(limit)")
        } _: { [self] in
            let rest = try await bringBlocks(request, from: source)
            guard !rest.isEmpty else { return }
            _ = try await peers.fetch(request.narrowed(to: rest), from: source) { chunk in
                try self.take(chunk, from: source)
                let wait = got.withLockedValue { got in
                    defer { got = (got.count + 1, .now) }
                    return got.last.duration(to: .now)
                }
                if source.kind == .holder { pace.withLockedValue { $0.came(after: wait) } }
            }
        }
    }

    /// Asks a link for the blocks that are wanted.
    ///
    /// - Returns: what is to be asked for by digest.
    private func bringBlocks(_ request: ChunkRequest, from source: Source) async throws -> [Digest] {
        guard let links = links(to: source) else { return request.chunks }
        do {
            try await links.bring(request.chunks, for: request, from: source)
        } catch let error as PeersError where error.code == .lying || error.code == .refused {
            statistics.failed()
            logger.info("blocks not had over a link", metadata: ["source": "\(source)", "error": "\(error)"])
        }
        return request.chunks.filter { !store.chunks.contains($0) }
    }

    /// Brings chunks of another object from its holders in this site. Not through a flight: the one that asks may carry
    /// some of them itself, and would wait for its own end.
    ///
    /// - Returns: whether all are in the store now.
    func bringFromSite(_ digests: [Digest], of manifest: Digest, _ priority: Priority) async throws -> Bool {
        for source in peers.sources(for: manifest, level: .site) {
            let rest = Set(digests.filter { !store.chunks.contains($0) })
            if rest.isEmpty { break }
            let request = ChunkRequest(manifest: manifest, chunks: Array(rest), level: .store, priority: priority)
            let taken = NIOLockedValueBox(0)
            do {
                try await Stall.bounded(by: stall) {
                    taken.withLockedValue { $0 }
                } error: { [stall] in
                    ObjectError(.unavailable, "\(source.name) gave nothing for \(stall)")
                } _: { [self] in
                    _ = try await peers.fetch(request, from: source) { chunk in
                        try self.take(chunk, from: source)
                        taken.withLockedValue { $0 += 1 }
                    }
                }
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.debug("no base", metadata: ["source": "\(source.name)", "error": "\(error)"])
            }
        }
        return digests.allSatisfy { store.chunks.contains($0) }
    }

    /// Puts a verified chunk into the store and wakes who waits for it.
    func take(_ chunk: ReceivedChunk, from source: Source) throws {
        if let (codec, payload) = chunk.stored {
            _ = try payload.withUnsafeBytes {
                try store.chunks.insert(
                    chunk.digest,
                    kind: chunk.kind,
                    codec: codec,
                    rawLength: chunk.raw.count,
                    payload: $0
                )
            }
        } else {
            _ = try chunk.raw.withUnsafeBytes { try store.chunks.insert(chunk.digest, kind: chunk.kind, raw: $0) }
        }
        statistics.received(chunk.raw.count, from: source)
        wake(chunk.digest)
    }

    /// A chunk is in the store: those who wait for it go on.
    func wake(_ digest: Digest) {
        let done = state.withLockedValue { state in
            state.table.arrived(digest).compactMap { state.continuations.removeValue(forKey: $0) }
        }
        for continuation in done { continuation.resume(returning: true) }
    }

    private func end(_ flight: FlightTable.FlightID, _ request: ChunkRequest) {
        let abandoned = state.withLockedValue { state in
            state.flights[flight] = nil
            return state.table.ended(flight, of: request.chunks)
                .compactMap { state.continuations.removeValue(forKey: $0) }
        }
        for continuation in abandoned { continuation.resume(returning: false) }
    }
}

extension Flights.State {
    /// Notes a more urgent asker of a flight. Returns its request where that makes it more urgent.
    fileprivate mutating func promote(
        _ flight: FlightTable.FlightID,
        to priority: Priority,
        for asker: UInt64?
    ) -> Flights.Flight? {
        guard let known = flights[flight] else { return nil }
        if let asker { flights[flight]?.askers.insert(asker) }
        guard priority < known.priority else { return nil }
        flights[flight]?.priority = priority
        return known
    }
}
