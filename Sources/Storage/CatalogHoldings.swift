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
}
