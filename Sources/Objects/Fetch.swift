// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Logging
import NIOPosix
import Peers
import Storage

/// Brings what an object lacks: manifest, block lists and chunks, for readers and for prefetches.
final class Fetch: Sendable {
    /// The first and the longest pause between two rounds through all sources.
    static let pauseMin = Duration.milliseconds(100)
    static let pauseMax = Duration.seconds(2)

    private let store: Store
    private let flights: Flights
    private let peers: PeerService
    private let open: OpenObjects
    private let jobs: Jobs
    private let logger: Logger
    private let space: Space
    private let limits: Limits
    private let becameWhole: @Sendable (OpenObject, UInt64) async -> Void

    init(
        store: Store,
        flights: Flights,
        peers: PeerService,
        open: OpenObjects,
        jobs: Jobs,
        space: Space,
        limits: Limits,
        logger: Logger,
        becameWhole: @escaping @Sendable (OpenObject, UInt64) async -> Void
    ) {
        self.store = store
        self.flights = flights
        self.peers = peers
        self.open = open
        self.logger = logger
        self.jobs = jobs
        self.space = space
        self.limits = limits
        self.becameWhole = becameWhole
    }

    /// Begins with an object that may not be whole here: it becomes a part of this store, and while it is open and not
    /// whole its source is asked again and again to keep it (P3).
    func begin(_ object: OpenObject, size: UInt64) {
        guard object.beginsFetching() else { return }
        let submitted = jobs.submit { [self] in
            do {
                try store.catalog.recordObject(manifest: object.manifest, size: size, whole: false)
            } catch {
                logger.warning("object not recorded", metadata: ["error": "\(error)"])
            }
            var keeper: Source?
            while !object.isWhole, open.isOpen(object), !Task.isCancelled {
                keeper = await lease(object.manifest) ?? keeper
                try? await Task.sleep(for: limits.leaseRenewal)
            }
            object.endsFetching()
            if let keeper { _ = try? await peers.lease(object.manifest, from: keeper, for: .zero) }
        }
        if !submitted { object.endsFetching() }
    }

    /// - Returns: who keeps it now.
    private func lease(_ manifest: Digest) async -> Source? {
        for source in peers.sources(for: manifest, level: .reader) {
            do {
                if try await peers.lease(manifest, from: source, for: limits.lease) { return source }
            } catch {
                logger.debug("no lease", metadata: ["source": "\(source.name)", "error": "\(error)"])
            }
        }
        return nil
    }

    /// Brings a range for a waiting reader; goes round the sources until nothing came for the stall limit.
    func bring(_ object: OpenObject, offset: UInt64, count: Int) async throws {
        try await untilStalled(object) { [self] in
            have(object, offset: offset, count: count)
        } _: { [self] in
            guard let map = try await map(of: object, .reader) else { return false }
            for block in map.blocks(offset: offset, count: count) {
                guard try await bring(object, block, of: map, .reader) else { return false }
            }
            return true
        }
    }

    /// Asks for blocks that a reader will want next, and for the first that lack beyond them: what lies between is here,
    /// so the reader is there soon. Failures are the reader's to see when it gets there.
    func runAhead(_ object: OpenObject, blocks: Range<Int>) {
        _ = jobs.submit { [self] in
            guard let map = try? object.map() else { return }
            for block in blocks { ask(for: block, of: object, map) }
            // One look at a time: the next read looks from where it is by then.
            guard object.beginsLooking() else { return }
            defer { object.endsLooking() }
            await lookAhead(object, from: blocks.upperBound, map)
        }
    }

    private func lookAhead(_ object: OpenObject, from first: Int, _ map: BlockMap) async {
        var lacking = 0
        for block in first..<max(first, min(map.count, first + Limits.blocksLookedAhead)) {
            if object.isPresent(block) { continue }
            let reference = map.manifest.blocks[block]
            let found = try? await NIOThreadPool.singleton.runIfActive { [self] in self.isHere(reference) }
            if found == true {
                _ = try? await bring(object, block, of: map, .deadline)
            } else {
                ask(for: block, of: object, map)
                lacking += 1
            }
            if lacking >= Limits.readAheadBlocks || Task.isCancelled { return }
        }
    }

    /// Has a block looked at that was read to its end and is not known to be here.
    func note(_ block: Int, of object: OpenObject) {
        guard let map = try? object.map() else { return }
        ask(for: block, of: object, map)
    }

    private func ask(for block: Int, of object: OpenObject, _ map: BlockMap) {
        guard !object.isPresent(block), object.beginsAsking(block) else { return }
        let submitted = jobs.submit { [self] in
            defer { object.endsAsking(block) }
            _ = try? await bring(object, block, of: map, .deadline)
        }
        if !submitted { object.endsAsking(block) }
    }

    /// Whether the list and all chunks of a block are in the store. Past the object's few lists in memory: those are the
    /// readers'.
    private func isHere(_ block: BlockReference) -> Bool {
        guard let bytes = try? store.chunks.read(block.digest), let list = try? BlockList(decoding: bytes) else {
            return false
        }
        return list.chunks.allSatisfy { store.chunks.length(of: $0.digest) != nil }
    }

    /// Brings a whole object in order, a few blocks at a time.
    ///
    /// - Returns: false where some of it was to be had nowhere.
    func bringAll(_ object: OpenObject, _ priority: Priority, progress: @Sendable (UInt64) -> Void) async throws -> Bool
    {
        guard let map = try await map(of: object, priority) else { return false }
        guard map.count > 0 else { return true }
        return try await withThrowingTaskGroup(of: (Int, Bool).self) { group in
            var next = 0
            var complete = true
            while next < min(Limits.prefetchRequests, map.count) {
                let block = next
                group.addTask { (block, try await self.bring(object, block, of: map, priority)) }
                next += 1
            }
            for try await (block, came) in group {
                complete = complete && came
                if came { progress(map.manifest.blocks[block].length) }
                guard complete, next < map.count else { continue }
                let block = next
                group.addTask { (block, try await self.bring(object, block, of: map, priority)) }
                next += 1
            }
            return complete
        }
    }

    /// Bytes of an object that are not here: exact where its block lists are, else by whole blocks.
    func missing(of object: OpenObject) throws -> UInt64 {
        if object.isWhole { return 0 }
        guard let map = try object.map() else { return UInt64.max }
        var missing: UInt64 = 0
        for (at, block) in map.manifest.blocks.enumerated() where !object.isPresent(at) {
            guard let list = try object.list(at, of: map) else {
                missing += block.length
                continue
            }
            for chunk in list.chunks where store.chunks.length(of: chunk.digest) == nil {
                missing += UInt64(chunk.length)
            }
        }
        return missing
    }

    /// The manifest, fetched where it is not here.
    func map(of object: OpenObject, _ priority: Priority) async throws -> BlockMap? {
        if let map = try object.map() { return map }
        let want = Flights.Want(manifest: object.manifest, level: .reader, priority: priority)
        guard try await flights.ensure([object.manifest], want) else { return nil }
        return try object.map()
    }

    /// One block: its list, then what is missing of its chunks.
    private func bring(
        _ object: OpenObject,
        _ block: Int,
        of map: BlockMap,
        _ priority: Priority
    ) async throws -> Bool {
        if object.isPresent(block) { return true }
        let reference = map.manifest.blocks[block]
        var want = Flights.Want(manifest: object.manifest, level: .reader, priority: priority)
        want.block = reference.digest
        guard try await bringList(object, block, of: map, want) else {
            // Without room nothing comes: that is to be said, not waited for.
            try await space.withReservation(of: reference.length, label: "fetch") {}
            return false
        }
        guard let list = try object.list(block, of: map) else { return false }
        let missing = list.chunks.filter { !store.chunks.contains($0.digest) }
        if !missing.isEmpty {
            let bytes = missing.reduce(0) { $0 + UInt64($1.length) }
            let came = try await space.withReservation(of: bytes, label: "fetch") {
                try await flights.ensure(missing.map(\.digest), want)
            }
            guard came else { return false }
        }
        if object.blockIsPresent(block) { await becameWhole(object, map.manifest.size) }
        return true
    }

    /// The list of a block. Holders in the site give it with the next ones; across a link it comes with its chunks.
    private func bringList(
        _ object: OpenObject, _ block: Int, of map: BlockMap, _ want: Flights.Want
    ) async throws -> Bool {
        let digest = map.manifest.blocks[block].digest
        if store.chunks.length(of: digest) != nil { return true }
        if !peers.sources(for: object.manifest, level: .site).isEmpty {
            let batch = map.manifest.blocks[block..<min(map.count, block + OpenObject.blockListBatch)]
            var near = want
            near.level = .site
            near.block = nil
            _ = try await flights.ensure(batch.map(\.digest), near)
        }
        return try await flights.ensure([digest], want)
    }

    private func untilStalled(
        _ object: OpenObject,
        _ have: @escaping @Sendable () -> Int,
        _ attempt: @escaping @Sendable () async throws -> Bool
    ) async throws {
        let (manifest, limit) = (object.manifest, limits.stall)
        try await Stall.bounded(by: limit, measure: have) {
            ObjectError(
                .unavailable,
                "no agent could give the bytes of object \(manifest) for \(limit): "
                    + "see `larder status` for peers and links"
            )
        } _: {
            var pause = Fetch.pauseMin
            while try await !attempt() {
                try await Task.sleep(for: pause)
                pause = min(Fetch.pauseMax, pause * 2)
            }
        }
    }

    /// What is here of a range: grows as it comes.
    private func have(_ object: OpenObject, offset: UInt64, count: Int) -> Int {
        guard let map = try? object.map() else { return 0 }
        return map.blocks(offset: offset, count: count).reduce(1) { sum, block in
            guard let list = try? object.list(block, of: map) else { return sum }
            return sum + 1 + list.chunks.count { store.chunks.length(of: $0.digest) != nil }
        }
    }
}
