// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Logging
import NIOConcurrencyHelpers
import NIOPosix
import Peers
import Storage

/// Frees space: forgets objects that no key names, then the ones read longest ago, then drops the chunks that nothing
/// else refers to.
///
/// Mark and sweep over block lists instead of reference counts: counts would have to survive power loss in step with
/// the chunks, and a mark of five million chunks takes about as long as reading 80,000 small records.
final class Collector: Sendable {
    /// The part of the quota that is given up at the least.
    static let leastPart: UInt64 = 128
    /// Objects considered in one look at the catalog, and given up in one transaction.
    static let pageCount = 256

    private let store: Store
    private let directory: Directory
    private let open: OpenObjects
    private let pool: NIOThreadPool
    private let logger: Logger
    private let turn = Permits(1)
    /// Bytes of objects that were given up since the last sweep.
    private let unswept = NIOLockedValueBox<UInt64>(0)
    let pins = ChunkPins()
    private let ingests = NIOLockedValueBox<[ObjectIdentifier: @Sendable () -> [Digest]]>([:])

    init(store: Store, directory: Directory, open: OpenObjects, pool: NIOThreadPool, logger: Logger) {
        self.store = store
        self.directory = directory
        self.open = open
        self.pool = pool
        self.logger = logger
    }

    /// Names the chunks and block lists of an object that is being written; they are kept until it is removed.
    func addRoot(_ owner: AnyObject, _ digests: @escaping @Sendable () -> [Digest]) {
        ingests.withLockedValue { $0[ObjectIdentifier(owner)] = digests }
    }

    func removeRoot(_ owner: AnyObject) {
        ingests.withLockedValue { $0[ObjectIdentifier(owner)] = nil }
    }

    /// Frees at least `bytes` where that can be done.
    func reclaim(_ bytes: UInt64) async throws {
        try await turn.withPermit {
            // What was given up already goes before anything else does.
            var freed = unswept.withLockedValue({ $0 }) > 0 ? try await sweep() : 0
            // Each sweep looks at every object: a store that is full must not sweep for every few megabytes.
            var wanted = max(bytes, store.space.quotaBytes / Collector.leastPart)
            while freed < bytes {
                try Task.checkCancellation()
                let victims = try choose(wanted)
                guard !victims.isEmpty else { return }
                // Those that came into use meanwhile are not chosen again.
                guard try await forget(victims) > 0 else { continue }
                freed += try await sweep()
                // Objects that share most of their chunks free little: take twice as many next time.
                wanted = wanted > .max / 2 ? .max : wanted * 2
            }
        }
    }

    /// Gives up objects that are not in use and that no pinned key names. The turn is taken for a page at a time, so that
    /// nobody who needs space waits for all of them, and what they leave is swept once it is worth a sweep.
    ///
    /// - Parameter isOver: asked once more when it is an object's turn.
    /// - Returns: how many.
    func giveUp(_ records: [ObjectRecord], where isOver: (ObjectRecord) throws -> Bool) async throws -> Int {
        var count = 0
        for start in stride(from: 0, to: records.count, by: Collector.pageCount) {
            count += try await turn.withPermit {
                let page = try records[start..<min(records.count, start + Collector.pageCount)].filter(isOver)
                let bytes = page.reduce(UInt64(0)) { $0 + min($1.size, .max - $0) }
                unswept.withLockedValue { $0 += min(bytes, .max - $0) }
                return try await forget(page.map(\.manifest))
            }
        }
        guard unswept.withLockedValue({ $0 }) >= store.space.quotaBytes / Collector.leastPart else { return count }
        try await turn.withPermit { _ = try await sweep() }
        return count
    }

    /// Drops what nothing refers to, without evicting anything.
    func collect() async throws -> UInt64 {
        try await turn.withPermit {
            var garbage: [Digest] = []
            try forEachRecord { record in
                if try isGarbage(record) { garbage.append(record.manifest) }
                return true
            }
            try await forget(garbage)
            return try await sweep()
        }
    }

    /// No key names it. A key that cannot be read is an error, not an absence.
    private func isGarbage(_ record: ObjectRecord) throws -> Bool {
        guard !open.contains(record.manifest) else { return false }
        return try store.catalog.keys(of: record.manifest).isEmpty
    }

    /// Of the objects read longest ago those that no key names; where there are none, as many as have `bytes`.
    private func choose(_ bytes: UInt64) throws -> [Digest] {
        let pinned = Set(try store.catalog.pins())
        var garbage: [Digest] = []
        var victims: [Digest] = []
        var sum: UInt64 = 0
        try forEachRecord { record in
            guard !open.contains(record.manifest) else { return true }
            let keys = try store.catalog.keys(of: record.manifest)
            if keys.isEmpty {
                garbage.append(record.manifest)
            } else if !keys.contains(where: pinned.contains) {
                victims.append(record.manifest)
                sum += min(record.size, .max - sum)
            }
            return sum < bytes
        }
        return garbage.isEmpty ? victims : garbage
    }

    /// Calls `body` with every object, the longest unread first, until it says false; page by page, for there may be a
    /// million.
    private func forEachRecord(_ body: (ObjectRecord) throws -> Bool) throws {
        var last: ObjectRecord?
        while true {
            let page = try store.catalog.coldest(limit: Collector.pageCount, after: last)
            for record in page where try !body(record) { return }
            guard page.count == Collector.pageCount else { return }
            last = page.last
        }
    }

    /// Tells the others that objects are not held here any more; a key that nobody holds is removed (P1).
    ///
    /// - Returns: how many were given up; fewer than were chosen where some came into use meanwhile.
    @discardableResult
    private func forget(_ manifests: [Digest]) async throws -> Int {
        var count = 0
        for start in stride(from: 0, to: manifests.count, by: Collector.pageCount) {
            let leaving = manifests[start..<min(start + Collector.pageCount, manifests.count)]
                .filter(open.beginLeaving)
            defer { for manifest in leaving { open.endLeaving(manifest) } }
            guard !leaving.isEmpty else { continue }
            let evicted = try await directory.evict(leaving)
            count += evicted.count
            if !evicted.isEmpty { logger.info("evicted", metadata: ["objects": "\(evicted.count)"]) }
        }
        return count
    }

    private func sweep() async throws -> UInt64 {
        unswept.withLockedValue { $0 = 0 }
        return try await pool.runIfActive { [self] in
            try store.chunks.sweep { keep in try mark(keep) }
        }
    }

    /// What others vouched for and this store holds may still be no manifest or list: it then names nothing.
    private func mark(_ keep: (Digest) -> Void) throws {
        // Chunks go from pins to the passes that they belong to, and passes end as objects in use and in the catalog:
        // looked at in that order, so that none is missed on its way.
        for digest in pins.digests { keep(digest) }
        for roots in ingests.withLockedValue({ Array($0.values) }) {
            for digest in roots() {
                keep(digest)
                // A block list among them names chunks; a plain chunk is not one and is skipped by its kind.
                try markList(digest, keep)
            }
        }
        var seen = Set<Digest>()
        for manifest in open.manifests { try markObject(manifest, &seen, keep) }
        try forEachRecord { record in
            try markObject(record.manifest, &seen, keep)
            return true
        }
    }

    private func markObject(_ manifest: Digest, _ seen: inout Set<Digest>, _ keep: (Digest) -> Void) throws {
        keep(manifest)
        guard let bytes = try store.chunks.read(manifest), let decoded = try? Manifest(decoding: bytes) else { return }
        for block in decoded.blocks where seen.insert(block.digest).inserted {
            keep(block.digest)
            try markList(block.digest, keep)
        }
    }

    private func markList(_ digest: Digest, _ keep: (Digest) -> Void) throws {
        guard store.chunks.kind(of: digest) == .blockList, let bytes = try store.chunks.read(digest),
            let list = try? BlockList(decoding: bytes)
        else { return }
        for chunk in list.chunks { keep(chunk.digest) }
    }
}
