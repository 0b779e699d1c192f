// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Logging
import Metrics
import NIOConcurrencyHelpers
import NIOPosix
import Peers
import Storage

/// Fetches over links: a manifest as a delta, then blocks, each with what its site lacks of its chunks, as deltas.
///
/// A block's list becomes readable only when all its chunks are known and its digest is the one that the manifest
/// names (P2): until then nothing that came is more than a chunk under its own digest. What cannot be had like this is
/// left to be asked for by digest.
final class LinkFetch: Sendable {
    /// Objects that cross at a time, as a rule: each keeps skeletons of a gigabyte in half a megabyte. One more costs
    /// the asking for skeletons again.
    private static let objectsMax = 4

    /// Brings chunks from holders of this site.
    typealias Holders = @Sendable (_ digests: [Digest], _ manifest: Digest, _ priority: Priority) async throws -> Bool

    struct Parts: Sendable {
        let store: Store
        let peers: PeerService
        let space: Space
        let pins: ChunkPins
        let claims = ChunkClaims()
        let relatives: Relatives
        let statistics: FetchStatistics
        let logger: Logger
        let failures = Counter(label: "larder_link_blocks_failed_total")
        /// A chunk, a block list or a manifest is in the store.
        let arrived: @Sendable (Digest) -> Void
        let holders: Holders
        /// Puts a chunk of a peer into the store.
        let keep: @Sendable (ReceivedChunk, Source) throws -> Void
    }

    /// Failures after which an object is asked for by digest for a while: one may be the line's, two are a habit.
    private static let failuresMax = 2
    /// How long failures are remembered: as long as a cut line is asked at all.
    private static let failuresKept = Duration.seconds(3)
    /// Objects of which failures are remembered.
    private static let failedMax = 64

    private let parts: Parts
    private let failures = NIOLockedValueBox<[Digest: (count: Int, last: ContinuousClock.Instant)]>([:])
    private let objects = NIOLockedValueBox<[LinkedObject]>([])

    init(_ parts: Parts) { self.parts = parts }

    /// Brings the manifest and the blocks that are among the wanted.
    ///
    /// - Throws: ``PeersError``, ``ObjectError``, ``StorageError`` or `CancellationError`.
    func bring(_ wanted: [Digest], for request: ChunkRequest, from source: Source) async throws {
        guard !hasFailed(request.manifest) else { return }
        do {
            try await bringBlocks(wanted, for: request, from: source)
            failures.withLockedValue { $0[request.manifest] = nil }
        } catch let error as CancellationError {
            throw error
        } catch {
            failures.withLockedValue { failures in
                if failures.count >= LinkFetch.failedMax { failures.removeAll() }
                failures[request.manifest] = ((failures[request.manifest]?.count ?? 0) + 1, .now)
            }
            throw error
        }
    }

    private func hasFailed(_ manifest: Digest) -> Bool {
        failures.withLockedValue { failures in
            guard let failed = failures[manifest] else { return false }
            guard ContinuousClock.now - failed.last < LinkFetch.failuresKept else {
                failures[manifest] = nil
                return false
            }
            return failed.count >= LinkFetch.failuresMax
        }
    }

    private func bringBlocks(_ wanted: [Digest], for request: ChunkRequest, from source: Source) async throws {
        let chunks = parts.store.chunks
        if !chunks.contains(request.manifest) {
            guard try await fetchManifest(request, from: source) else { return }
        }
        guard let object = try await object(request.manifest) else { return }
        for block in object.blocks(named: wanted) where !chunks.contains(object.map.manifest.blocks[block].digest) {
            try await object.bring(block, request.priority, from: source)
        }
    }

    /// Makes the requests that carry blocks more urgent.
    ///
    /// - Returns: whether there are any.
    func promote(_ request: ChunkRequest, to priority: Priority, at source: Source) async -> Bool {
        guard let object = objects.withLockedValue({ $0.first { $0.map.digest == request.manifest } }) else {
            return false
        }
        var isCarried = false
        for block in object.blocks(named: request.chunks) {
            if await object.promote(block, to: priority, at: source) { isCarried = true }
        }
        return isCarried
    }

    private func fetchManifest(_ request: ChunkRequest, from source: Source) async throws -> Bool {
        let store = parts.store.chunks
        var named: [Digest] = []
        var bases: [Manifest] = []
        for digest in parts.relatives.bases(of: request.manifest) {
            if !store.contains(digest) { _ = try? await parts.holders([digest], digest, request.priority) }
            guard let bytes = try store.read(digest) else { continue }
            named.append(digest)
            bases.append(try Manifest(decoding: bytes))
        }
        let delta = DeltaRequest(
            id: request.id,
            manifest: request.manifest,
            bases: named,
            priority: request.priority,
            part: .manifest
        )
        guard let bytes = try await parts.peers.fetchManifest(delta, bases: bases, from: source) else { return false }
        _ = try bytes.withUnsafeBytes { try store.insert(request.manifest, kind: .manifest, raw: $0) }
        parts.statistics.received(bytes.count, from: source)
        parts.arrived(request.manifest)
        return true
    }

    private func object(_ manifest: Digest) async throws -> LinkedObject? {
        if let known = objects.withLockedValue({ $0.first { $0.map.digest == manifest } }) { return known }
        guard let bytes = try parts.store.chunks.read(manifest) else { return nil }
        let made = LinkedObject(BlockMap(digest: manifest, manifest: try Manifest(decoding: bytes)), parts)
        return objects.withLockedValue { objects in
            if let known = objects.first(where: { $0.map.digest == manifest }) { return known }
            objects.append(made)
            if objects.count > LinkFetch.objectsMax { objects.removeFirst() }
            return made
        }
    }
}
