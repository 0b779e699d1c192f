// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content
public import Logging
import NIOConcurrencyHelpers
import NIOPosix
public import Peers
public import ServiceLifecycle
public import Storage

/// The one API of all doors: names, reading, writing, hints.
///
/// What is decided where: which bytes an object has is `Content` and `Chunking`; where chunks lie is `Storage`; who has
/// them is `Peers`; here they are joined: a read finds its chunks or brings them once, a write becomes an object once.
///
/// Calls without `async` are local, take about 20 µs, and may come from any thread. Nothing here waits for ever: what
/// waits has a limit in ``Limits``.
public final class ObjectCache: Service {
    /// One name in a directory.
    public struct Child: Sendable, Hashable {
        public let name: String
        /// Nil where the name is a directory that only the keys below it imply.
        public let entry: Entry?
    }

    public let limits: Limits
    let store: Store
    let directory: Directory
    let peers: PeerService
    let logger: Logger
    let jobs = Jobs()
    let space: Space
    let collector: Collector
    let openObjects: OpenObjects
    let settling: Settling
    let fetch: Fetch
    let flights: Flights
    let ingest: Ingest
    let prefetcher: Prefetcher
    private let copier: Copier
    private let retention: Retention
    let leases: Leases
    let statistics = FetchStatistics()
    private let chunkCache: ChunkCache
    private let pool: NIOThreadPool
    /// For what waits for the disk: it must not hold up digests and compression.
    private let disk = NIOThreadPool(numberOfThreads: 2)
    private let cutting: NIOThreadPool
    /// Names at the last look, ``Limits/syncPeriod`` ago at most.
    private let entryCount = NIOLockedValueBox(0)
    private let reads = NIOLockedValueBox<[Digest: UInt64]>([:])

    /// Joins an open store and its peers.
    ///
    /// - Parameters:
    ///   - uplinkBytesPerSecond: the configured rate of links, for estimates of time.
    ///   - rules: how many copies objects have, and for how long they stay.
    ///   - coreCount: threads for digests and compression.
    public init(
        store: Store,
        directory: Directory,
        peers: PeerService,
        site: String,
        uplinkBytesPerSecond: Double? = nil,
        limits: Limits = Limits(),
        rules: KeepingRules = KeepingRules(copies: 1),
        coreCount: Int,
        logger: Logger
    ) {
        self.limits = limits
        self.store = store
        self.directory = directory
        self.peers = peers
        self.logger = logger
        pool = NIOThreadPool(numberOfThreads: max(2, coreCount))
        cutting = NIOThreadPool(numberOfThreads: max(2, coreCount / 2))
        for threads in [pool, cutting, disk] { threads.start() }
        openObjects = OpenObjects(store: store)
        collector = Collector(store: store, directory: directory, open: openObjects, pool: disk, logger: logger)
        space = Space(ledger: store.space, collector: collector)
        settling = Settling(directory: directory)
        leases = Leases(objects: openObjects, peers: peers, longest: limits.lease)
        flights = Flights(
            store: store, peers: peers, jobs: jobs, statistics: statistics, stall: limits.stall / 2, logger: logger)
        flights.setLinks(
            LinkFetch(
                LinkFetch.Parts(
                    store: store,
                    peers: peers,
                    space: space,
                    pins: collector.pins,
                    relatives: flights.relatives,
                    statistics: statistics,
                    logger: logger,
                    arrived: { [weak flights] in flights?.wake($0) },
                    holders: { [weak flights] digests, manifest, priority in
                        try await flights?.bringFromSite(digests, of: manifest, priority) ?? false
                    },
                    keep: { [weak flights] in try flights?.take($0, from: $1) }
                )
            )
        )
        fetch = Fetch(
            store: store,
            flights: flights,
            peers: peers,
            open: openObjects,
            jobs: jobs,
            space: space,
            limits: limits,
            logger: logger
        ) { object, size in
            do {
                try store.catalog.recordObject(manifest: object.manifest, size: size, whole: true)
                _ = try await directory.publish([.holding(manifest: object.manifest, held: true)])
            } catch {
                logger.warning("holding not published", metadata: ["error": "\(error)"])
            }
        }
        ingest = Ingest(
            store: store,
            pool: pool,
            cutting: cutting,
            width: max(1, coreCount),
            pins: collector.pins,
            limits: limits
        )
        prefetcher = Prefetcher(
            site: site,
            directory: directory,
            open: openObjects,
            fetch: fetch,
            jobs: jobs,
            statistics: statistics,
            linkBytesPerSecond: uplinkBytesPerSecond,
            limits: limits,
            logger: logger
        )
        copier = Copier(
            rules: rules, store: store, peers: peers, open: openObjects, fetch: fetch, jobs: jobs,
            grace: limits.copyGrace, logger: logger)
        retention = Retention(
            rules: rules, store: store, peers: peers, open: openObjects, collector: collector, pool: disk,
            limits: limits,
            logger: logger)
        chunkCache = ChunkCache(byteCount: limits.chunkCacheByteCount)
        directory.observe { [settling, prefetcher, copier, retention] entries in
            let keys = entries.filter { !$0.isTombstone }.map(\.key)
            settling.changed(entries.map(\.key))
            prefetcher.published(keys)
            copier.published(entries)
            retention.published(entries)
        }
        peers.setProvider(Provider(flights: flights, store: store, space: space))
        peers.setHintHandler { [prefetcher] in prefetcher.note($0) }
        peers.setLeaseHandler { [leases] manifest, duration, agent in
            await leases.grant(manifest, for: duration, to: agent)
        }
    }

    /// Runs what outlives requests: flights, ingests, prefetches, copies, retention, the watch over space.
    public func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.jobs.run() }
            group.addTask { await self.watchSpace() }
            group.addTask { await self.watchDurability() }
            group.addTask { await self.copier.run() }
            group.addTask { await self.retention.run() }
            try? await gracefulShutdown()
            jobs.stop()
            group.cancelAll()
        }
        flushReads()
        for threads in [disk, cutting, pool] { try await threads.shutdownGracefully() }
    }

    /// Entries that just won here, tombstones too; awaited before their publication is acknowledged.
    public func observe(_ observer: @escaping @Sendable ([Entry]) async -> Void) {
        directory.observe(observer)
    }

    /// Opens one version of a key for reading. It stays that version until the reader is closed (P3).
    ///
    /// - Throws: ``ObjectError`` `isDirectory` or `unsupported` where the entry is no object.
    public func open(_ entry: Entry) throws(ObjectError) -> ObjectReader {
        switch entry.body {
        case .inline: return ObjectReader(entry: entry, object: nil, cache: self)
        case .directory: throw ObjectError(.isDirectory, "\(entry.key) is a directory")
        case .tombstone: throw ObjectError(.notFound, "\(entry.key) was removed")
        case .symlink: throw ObjectError(.unsupported, "\(entry.key) is a symbolic link")
        case .object(let manifest, let size):
            do {
                let object = try openObjects.open(manifest)
                fetch.begin(object, size: size)
                noteRead(manifest)
                return ObjectReader(entry: entry, object: object, cache: self)
            } catch {
                throw ObjectError(error)
            }
        }
    }

    /// Begins to write a key. Nothing is seen of it before ``ObjectWriter/publish()``.
    ///
    /// - Parameter base: the version that the writer begins with (copy on write), or nil for no bytes.
    /// - Throws: ``ObjectError`` `isDirectory`, `notDirectory`, `noSpace` or `io`.
    public func create(
        _ key: Key,
        metadata: Metadata,
        base: ObjectReader? = nil
    ) throws(ObjectError) -> ObjectWriter {
        try checkEntryLimit()
        try checkPlace(of: key)
        do {
            return try ObjectWriter(key: key, metadata: metadata, base: base, cache: self)
        } catch {
            throw ObjectError(error)
        }
    }

    /// Goes on with what a writer of a process that died has staged; the store was opened to keep that file.
    ///
    /// - Throws: ``ObjectError`` `io` where it is not there.
    public func resume(_ state: WriterState) throws(ObjectError) -> ObjectWriter {
        let base = try state.base.map { (entry) throws(ObjectError) in try open(entry) }
        do {
            return try ObjectWriter(resuming: state, base: base, cache: self)
        } catch {
            throw ObjectError(error)
        }
    }

    /// Bytes of the quota and bytes of it that are free, for `statfs`.
    public var capacity: (total: UInt64, free: UInt64) { (space.ledger.quotaBytes, space.ledger.freeBytes) }

    /// Now, in nanoseconds since 1970.
    public func wallNanoseconds() -> Int64 { WallClock.nanoseconds() }

    /// Runs work that waits for the disk on the pool that is there for it.
    func blocking<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await disk.runIfActive(body)
    }
}

extension ObjectCache {
    /// Copies a part of a chunk, decoding it into place where all of it is wanted.
    func copy(_ chunk: ChunkReference, from: Int, into out: UnsafeMutableRawBufferPointer) throws -> Bool {
        let length = Int(chunk.length)
        if out.count == length { return try decode(chunk, into: out) }
        let cached = try chunkCache.withChunk(chunk.digest) { slot in
            try decode(chunk, into: UnsafeMutableRawBufferPointer(rebasing: slot[..<length])) ? length : nil
        } _: { bytes in
            out.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + out.count]))
        }
        if let cached { return cached }
        return try withUnsafeTemporaryAllocation(byteCount: length, alignment: 16) { scratch in
            guard try decode(chunk, into: scratch) else { return false }
            out.copyMemory(from: UnsafeRawBufferPointer(rebasing: scratch[from..<from + out.count]))
            return true
        }
    }

    private func decode(_ chunk: ChunkReference, into out: UnsafeMutableRawBufferPointer) throws -> Bool {
        guard let count = try store.chunks.read(chunk.digest, into: out) else { return false }
        guard count == out.count else {
            throw ObjectError(.corrupt, "chunk \(chunk.digest) has \(count) bytes and its block list says \(out.count)")
        }
        return true
    }

    /// Refuses one more name where there are as many as may be.
    func checkEntryLimit() throws(ObjectError) {
        let count = entryCount.withLockedValue { $0 }
        guard count < limits.entryCount else {
            throw ObjectError(.noSpace, "there are \(count) names and \(limits.entryCount) may be (limits.entries)")
        }
    }

    private func noteRead(_ manifest: Digest) {
        reads.withLockedValue { $0[manifest] = WallClock.milliseconds() }
    }

    private func flushReads() {
        let noted = reads.withLockedValue { reads in
            defer { reads = [:] }
            return reads
        }
        guard !noted.isEmpty else { return }
        do {
            try store.catalog.touch(noted.map { (manifest: $0.key, readAt: $0.value) })
        } catch {
            logger.warning("read times not kept", metadata: ["error": "\(error)"])
        }
    }

    /// Counts names, and brings what was stored to the disk now and then, so that a start after a crash has little to look through.
    private func watchDurability() async {
        while !Task.isCancelled {
            if let count = try? store.catalog.entryCount() { entryCount.withLockedValue { $0 = count } }
            try? await Task.sleep(for: Limits.syncPeriod)
            // The store syncs itself when it is closed.
            if Task.isCancelled { return }
            do {
                try await blocking { try self.store.chunks.sync() }
            } catch {
                logger.warning("sync failed", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Every second: keeps read times, and gives space back where others fill the disk (P8).
    private func watchSpace() async {
        while !Task.isCancelled {
            flushReads()
            leases.expire()
            let over = space.ledger.overuse()
            if over > 0 {
                do {
                    try await collector.reclaim(over)
                } catch {
                    logger.warning("eviction failed", metadata: ["bytes": "\(over)", "error": "\(error)"])
                }
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }
}
