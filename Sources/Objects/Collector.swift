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
    /// Objects considered in one look at the catalog.
    static let candidateCount = 256

    private let store: Store
    private let directory: Directory
    private let open: OpenObjects
    private let pool: NIOThreadPool
    private let logger: Logger
    private let turn = Permits(1)
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
            var freed: UInt64 = 0
            var wanted = bytes
            while freed < bytes {
                let victims = try choose(wanted)
                guard !victims.isEmpty else { return }
                try await forget(victims)
                freed += try await sweep()
                // Objects that share most of their chunks free little: take twice as many next time.
                wanted = wanted &* 2
            }
        }
    }

    /// Drops what nothing refers to, without evicting anything.
    func collect() async throws -> UInt64 {
        try await turn.withPermit {
            let garbage = try store.catalog.coldest(limit: Int.max).filter(isGarbage)
            try await forget(garbage)
            return try await sweep()
        }
    }

    private func isGarbage(_ record: ObjectRecord) -> Bool {
        guard !open.contains(record.manifest) else { return false }
        return (try? store.catalog.keys(of: record.manifest).isEmpty) ?? false
    }

    /// Objects that no key names; where there are none, those read longest ago, until their sizes reach `bytes`.
    private func choose(_ bytes: UInt64) throws -> [ObjectRecord] {
        let pinned = Set(try store.catalog.pins())
        var garbage: [ObjectRecord] = []
        var victims: [ObjectRecord] = []
        var sum: UInt64 = 0
        for record in try store.catalog.coldest(limit: Collector.candidateCount) where !open.contains(record.manifest) {
            let keys = try store.catalog.keys(of: record.manifest)
            if keys.isEmpty {
                garbage.append(record)
            } else if sum < bytes, !keys.contains(where: pinned.contains) {
                victims.append(record)
                sum += record.size
            }
        }
        return garbage.isEmpty ? victims : garbage
    }

    /// Tells the others that the objects are not held here any more; a key that nobody holds is removed (P1).
    private func forget(_ records: [ObjectRecord]) async throws {
        var changes: [Publication.Change] = []
        for record in records {
            changes.append(.holding(manifest: record.manifest, held: false))
            let others = try store.catalog.holders(of: record.manifest).filter { $0 != store.catalog.agent }
            guard others.isEmpty else { continue }
            for key in try store.catalog.keys(of: record.manifest) {
                guard let entry = try store.catalog.entry(key), entry.manifest == record.manifest else { continue }
                let gone = Entry(
                    key: key,
                    version: directory.nextVersion(),
                    body: .tombstone,
                    metadata: entry.metadata
                )
                changes.append(.entry(gone))
                logger.info("evicted the last copy", metadata: ["key": "\(key)", "bytes": "\(record.size)"])
            }
        }
        guard !changes.isEmpty else { return }
        _ = try await directory.publish(changes)
        for record in records { try store.catalog.forgetObject(record.manifest) }
    }

    private func sweep() async throws -> UInt64 {
        try await pool.runIfActive { [self] in
            try store.chunks.sweep { keep in try mark(keep) }
        }
    }

    private func mark(_ keep: (Digest) -> Void) throws {
        for digest in pins.digests { keep(digest) }
        for roots in ingests.withLockedValue({ Array($0.values) }) {
            for digest in roots() {
                keep(digest)
                // A block list among them names chunks; a plain chunk is not one and is skipped by its kind.
                try markList(digest, keep)
            }
        }
        var seen = Set<Digest>()
        let held = try store.catalog.coldest(limit: Int.max).map(\.manifest)
        for manifest in Set(held).union(open.manifests) {
            keep(manifest)
            guard let bytes = try store.chunks.read(manifest) else { continue }
            for block in try Manifest(decoding: bytes).blocks where seen.insert(block.digest).inserted {
                keep(block.digest)
                try markList(block.digest, keep)
            }
        }
    }

    private func markList(_ digest: Digest, _ keep: (Digest) -> Void) throws {
        guard store.chunks.kind(of: digest) == .blockList, let bytes = try store.chunks.read(digest) else { return }
        for chunk in try BlockList(decoding: bytes).chunks { keep(chunk.digest) }
    }
}
