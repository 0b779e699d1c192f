// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Peers
import Storage

/// Serves peers and other sites: brings what they ask for and this agent lacks, from sources below their level.
///
/// Levels only fall, so requests cannot go in circles: what a site peer asks of a block's owner may come from the
/// gateway, what it asks of its gateway may come over the link, what another site asks may come from a peer of this
/// site, and a holder answers from its store or says no.
struct Provider: ChunkProvider {
    let flights: Flights
    let store: Store
    let space: Space
    /// What requests have space reserved for: one flight brings it for all of them.
    private let reserved = NIOLockedValueBox<Set<Digest>>([])

    init(flights: Flights, store: Store, space: Space) {
        self.flights = flights
        self.store = store
        self.space = space
    }

    func makeAvailable(_ request: ChunkRequest) async throws {
        guard request.level == .owner, request.chunks != [request.manifest] else { return try await bring(request) }
        // Nobody on this node may have opened the object: what it owns of it would belong to nothing.
        if !store.chunks.contains(request.manifest) { try await bring(request.narrowed(to: [request.manifest])) }
        let missing = request.chunks.filter { !store.chunks.contains($0) }
        let new = reserved.withLockedValue { reserved in missing.filter { reserved.insert($0).inserted } }
        defer { reserved.withLockedValue { $0.subtract(new) } }
        let most = UInt64(new.count) * UInt64(Manifest.chunkLengthMax)
        try await space.withReservation(of: most, label: "owner") { try await bring(request) }
    }

    private func bring(_ request: ChunkRequest) async throws {
        let want = Flights.Want(
            manifest: request.manifest,
            level: request.level,
            priority: request.priority,
            asker: request.id
        )
        _ = try await flights.ensure(request.chunks, want)
        try record(request.manifest)
    }

    /// Makes what was brought for others a part of an object of this store: the collector drops what belongs to none.
    private func record(_ manifest: Digest) throws {
        guard try store.catalog.object(manifest) == nil, let bytes = try store.chunks.read(manifest) else { return }
        let size = try Manifest(decoding: bytes).size
        try store.catalog.recordObject(manifest: manifest, size: size, whole: false)
    }

    func promote(_ request: UInt64, to priority: Priority) async {
        flights.promote(asker: request, to: priority)
    }
}
