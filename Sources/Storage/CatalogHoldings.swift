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

    /// Gives the next number of an agent to nothing.
    ///
    /// - Returns: the number.
    public func skipNumber(of agent: AgentID) throws(StorageError) -> UInt64 {
        let now = wall()
        return try write("skip a number") { db in
            var writer = PublicationWriter(db: db, wallMilliseconds: now)
            let number = try writer.row(of: agent).upTo + 1
            try writer.setUpTo(number, of: agent)
            return number
        }
    }

    /// Objects that live keys name and that none but these agents hold, in order.
    ///
    /// - Parameter last: the object after which to go on; nil: from the first.
    public func objects(
        heldOnlyBy agents: Set<AgentID>, after last: Digest? = nil, limit: Int
    ) throws(StorageError) -> [Digest] {
        try read("find what only \(agents.count) agents hold") { db in
            let ids = try agents.compactMap { try AgentRows.find($0, in: db)?.id }
            guard !ids.isEmpty else { return [] }
            let marks = databaseQuestionMarks(count: ids.count)
            let sql = """
                SELECT DISTINCT h.manifest FROM holdings h WHERE h.agent IN (\(marks)) AND h.held = 1 AND h.manifest > ?
                    AND EXISTS (SELECT 1 FROM entries e WHERE e.manifest = h.manifest)
                    AND NOT EXISTS (
                        SELECT 1 FROM holdings o WHERE o.manifest = h.manifest AND o.held = 1
                            AND o.agent NOT IN (\(marks))
                    )
                ORDER BY h.manifest LIMIT ?
                """
            let after = last.map { Data($0.bytes) } ?? Data()
            let arguments = StatementArguments(ids) + [after] + StatementArguments(ids + [Int64(limit)])
            return try Data.fetchAll(db, sql: sql, arguments: arguments)
                .map { try AgentRows.digest([UInt8]($0)) }
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
