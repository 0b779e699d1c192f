// SPDX-License-Identifier: Apache-2.0

public import Content
public import Peers
public import Storage

/// What an agent says of itself.
public struct CacheStatus: Sendable {
    public var entries: Int
    public var objectsOpen: Int
    /// Objects kept for readers elsewhere, once for each agent.
    public var leases: Int
    public var usedBytes: UInt64
    public var quotaBytes: UInt64
    public var chunks: StoreStatistics
    public var fetchedFromPeers: UInt64
    public var fetchedOverLinks: UInt64
    public var fetchFailures: UInt64
    public var hintsAnnounced: Int
    public var hintsQueued: Int
    public var hintsRunning: Int
    public var members: [Member]
    public var pins: [Key]
}

/// What an agent says of one key.
public struct KeyStatus: Sendable {
    public enum Place: String, Sendable {
        /// Whole in this agent's store.
        case local
        /// Some of it is in this agent's store.
        case partial
        /// None of it is; others hold it.
        case remote
    }

    /// What an object outlives.
    public enum Replication: String, Sendable {
        /// Nothing: one agent has it.
        case local
        /// An agent: two of one site have it.
        case shared
        /// A site: agents of two sites have it.
        case remote

        /// - Parameter sites: of every holder that lives.
        init(sites: [String]) {
            self = Set(sites).count > 1 ? .remote : sites.count > 1 ? .shared : .local
        }
    }

    public var entry: Entry
    public var place: Place
    /// Nil for what has no bytes in any store: it is wherever the directory is.
    public var replication: Replication?
    /// Bytes (decoded) that are not here.
    public var missing: UInt64
    /// The agents that hold it whole.
    public var holders: [AgentID]
    public var pinned: Bool
    public var settling: Bool
    public var hinted: Bool
}

extension ObjectCache {
    /// - Throws: ``ObjectError`` `io`.
    public func status() throws(ObjectError) -> CacheStatus {
        do {
            let totals = statistics.totals
            let hints = prefetcher.counts
            return CacheStatus(
                entries: try store.catalog.entryCount(),
                objectsOpen: openObjects.openCount,
                leases: leases.count,
                usedBytes: space.ledger.usedBytes,
                quotaBytes: space.ledger.quotaBytes,
                chunks: store.chunks.statistics,
                fetchedFromPeers: totals.peer,
                fetchedOverLinks: totals.link,
                fetchFailures: totals.failures,
                hintsAnnounced: hints.announced,
                hintsQueued: hints.queued,
                hintsRunning: hints.running,
                members: peers.members(),
                pins: try store.catalog.pins()
            )
        } catch {
            throw ObjectError.from(error)
        }
    }

    /// - Throws: ``ObjectError`` `notFound` or `io`.
    public func status(of key: Key) throws(ObjectError) -> KeyStatus {
        guard let entry = try lookup(key) else { throw ObjectError(.notFound, "\(key) does not exist") }
        do {
            return try status(of: entry)
        } catch {
            throw ObjectError.from(error)
        }
    }

    private func status(of entry: Entry) throws -> KeyStatus {
        let (place, missing) = try whereabouts(entry)
        let holders: [AgentID]
        if let manifest = entry.manifest {
            holders = try store.catalog.holders(of: manifest)
        } else {
            holders = []
        }
        let living = peers.living
        let sites = holders.filter(living.contains).compactMap { peers.site(of: $0) }
        let pinned = try store.catalog.pins().contains(entry.key)
        return KeyStatus(
            entry: entry,
            place: place,
            replication: entry.manifest.map { _ in KeyStatus.Replication(sites: sites) },
            missing: missing,
            holders: holders,
            pinned: pinned,
            settling: settling.contains(entry.key),
            hinted: prefetcher.isWorking(entry.key)
        )
    }

    func whereabouts(_ entry: Entry) throws -> (KeyStatus.Place, UInt64) {
        guard let manifest = entry.manifest else { return (.local, 0) }
        let object = try openObjects.open(manifest)
        defer { openObjects.close(object) }
        let missing = min(entry.size, try fetch.missing(of: object))
        return (missing == 0 ? .local : missing == entry.size ? .remote : .partial, missing)
    }

    /// Promises not to evict what the key names, until ``unpin(_:)``.
    ///
    /// - Throws: ``ObjectError`` `notFound` or `io`.
    public func pin(_ key: Key) throws(ObjectError) {
        guard try lookup(key) != nil else { throw ObjectError(.notFound, "\(key) does not exist") }
        do {
            _ = try store.catalog.pin(key)
        } catch {
            throw ObjectError(error)
        }
    }

    /// - Throws: ``ObjectError`` `notFound` where the key was not pinned, or `io`.
    public func unpin(_ key: Key) throws(ObjectError) {
        do {
            guard try store.catalog.unpin(key) else { throw ObjectError(.notFound, "\(key) is not pinned") }
        } catch {
            throw ObjectError.from(error)
        }
    }

    /// Drops what nothing refers to. Returns the bytes that it freed.
    public func collect() async throws(ObjectError) -> UInt64 {
        do {
            return try await collector.collect()
        } catch {
            throw ObjectError.from(error)
        }
    }
}
