// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import GRDB
import Synchronization

/// Which objects' chunks are known to be on the disk: a generation begins with every sync of the segments, an object
/// is recorded in the one that it was made in, and a sync that ended makes all before it durable.
final class CatalogSyncs: Sendable {
    private struct State {
        var generation: UInt64
        /// Something was recorded in it.
        var isUsed = false
    }

    private let state: Mutex<State>

    init(generation: UInt64) { state = Mutex(State(generation: generation)) }

    /// The generation to record an object in.
    func recorded() -> UInt64 {
        state.withLock { state in
            state.isUsed = true
            return state.generation
        }
    }

    /// Begins a generation; nil where nothing was recorded since the last one.
    func begin() -> UInt64? {
        state.withLock { state in
            guard state.isUsed else { return nil }
            state.generation += 1
            state.isUsed = false
            return state.generation
        }
    }
}

extension Catalog {
    private static let durableName = "durableGeneration"

    func recorded() -> UInt64 { syncs.recorded() }

    /// To be called before the segments are synced, and ``endSync(_:)`` after.
    func beginSync() -> UInt64? { syncs.begin() }

    /// Objects recorded before the generation have their chunks on the disk.
    func endSync(_ generation: UInt64) throws(StorageError) { try setInteger(Catalog.durableName, generation) }

    static func durableGeneration(_ db: Database) throws -> UInt64 {
        try Int64.fetchOne(db, sql: "SELECT number FROM meta WHERE name = ?", arguments: [durableName])
            .map { UInt64(bits: $0) } ?? 0
    }

    /// Whole objects of which a power loss may have taken a part.
    func unsyncedObjects() throws(StorageError) -> [Digest] {
        try read("find objects that were not synced") { db in
            let durable = try Catalog.durableGeneration(db)
            return try Data.fetchAll(
                db,
                sql: "SELECT manifest FROM objects WHERE whole = 1 AND generation >= ?",
                arguments: [Int64(bits: durable)]
            ).map { try AgentRows.digest([UInt8]($0)) }
        }
    }
}
