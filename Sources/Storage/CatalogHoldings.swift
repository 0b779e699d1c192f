// SPDX-License-Identifier: Apache-2.0

public import Content
import Foundation
import GRDB

extension Catalog {
    /// Whether this agent held an object whole and gave it up.
    public func hasGivenUp(_ manifest: Digest) throws(StorageError) -> Bool {
        try read("find our holding of \(manifest)") { db in
            let statement = try db.cachedStatement(
                sql: """
                    SELECT h.held FROM holdings h JOIN agents a ON a.id = h.agent
                    WHERE h.manifest = ? AND a.name = ?
                    """
            )
            let held = try Int.fetchOne(statement, arguments: [Data(manifest.bytes), AgentRows.encode(agent)])
            return held == 0
        }
    }

    /// Who holds an object, as they published it.
    public func holdings(of manifest: Digest) throws(StorageError) -> [Publication] {
        try read("find the holdings of \(manifest)") { db in
            let statement = try db.cachedStatement(
                sql: """
                    SELECT a.name, h.number FROM holdings h JOIN agents a ON a.id = h.agent
                    WHERE h.manifest = ? AND h.held = 1 ORDER BY a.name
                    """
            )
            return try Row.fetchAll(statement, arguments: [Data(manifest.bytes)]).map { row in
                Publication(
                    agent: try AgentRows.decode(row[0]),
                    number: UInt64(bits: row[1]),
                    change: .holding(manifest: manifest, held: true)
                )
            }
        }
    }
}
