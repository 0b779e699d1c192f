// SPDX-License-Identifier: Apache-2.0

public import Content
import Foundation
import GRDB

extension Catalog {
    /// Ceases to hold objects, in one transaction: their records go, the others are told, and a key whose last copy it
    /// was is removed (P1).
    ///
    /// A removal is no decision about the key's future: its version is the next above the entry that it removes, so
    /// that whatever was published of the key meanwhile, here or elsewhere, wins.
    ///
    /// - Parameter sparingPinned: leave alone what a pinned key names.
    /// - Returns: what was published, and the objects that are not held any more.
    public func evict(
        _ manifests: [Digest],
        by agent: AgentID,
        sparingPinned: Bool
    ) throws(StorageError) -> (publications: [Publication], evicted: [Digest]) {
        let now = wall()
        return try write("evict \(manifests.count) objects") { db in
            var writer = PublicationWriter(db: db, wallMilliseconds: now)
            var number = try writer.row(of: agent).upTo
            var publications: [Publication] = []
            var evicted: [Digest] = []
            for manifest in manifests {
                let entries = try Catalog.entries(of: manifest, in: db)
                if sparingPinned, try entries.contains(where: { try Catalog.isPinned($0.key, in: db) }) { continue }
                var changes: [Publication.Change] = [.holding(manifest: manifest, held: false)]
                if try !Catalog.isHeld(manifest, except: agent, in: db) {
                    changes += entries.map { .entry(Entry(removing: $0, by: agent)) }
                }
                for change in changes {
                    let publication = Publication(agent: agent, number: number + 1, change: change)
                    guard try writer.publish(publication) else { continue }
                    number += 1
                    publications.append(publication)
                }
                try db.cachedStatement(sql: "DELETE FROM objects WHERE manifest = ?")
                    .execute(arguments: [Data(manifest.bytes)])
                evicted.append(manifest)
            }
            try writer.setUpTo(number, of: agent)
            try writer.keepClock()
            return (publications, evicted)
        }
    }

    private static func entries(of manifest: Digest, in db: Database) throws -> [Entry] {
        let statement = try db.cachedStatement(sql: "SELECT encoded FROM entries WHERE manifest = ?")
        return try Data.fetchAll(statement, arguments: [Data(manifest.bytes)])
            .map { try Entry(decoding: [UInt8]($0)) }
    }

    private static func isPinned(_ key: Key, in db: Database) throws -> Bool {
        let statement = try db.cachedStatement(sql: "SELECT 1 FROM pins WHERE key = ?")
        return try Int.fetchOne(statement, arguments: [key.text]) != nil
    }

    private static func isHeld(_ manifest: Digest, except agent: AgentID, in db: Database) throws -> Bool {
        let statement = try db.cachedStatement(
            sql: """
                SELECT 1 FROM holdings h JOIN agents a ON a.id = h.agent
                WHERE h.manifest = ? AND h.held = 1 AND a.name <> ? LIMIT 1
                """
        )
        return try Int.fetchOne(statement, arguments: [Data(manifest.bytes), AgentRows.encode(agent)]) != nil
    }
}
