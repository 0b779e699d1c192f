// SPDX-License-Identifier: Apache-2.0

public import Content
import Foundation
import GRDB

/// A run of one agent's numbers: everything that is still current among `after + 1 ... upTo`.
public struct PublicationSpan: Hashable, Sendable {
    public let after: UInt64
    public let upTo: UInt64

    public init(after: UInt64, upTo: UInt64) {
        self.after = after
        self.upTo = upTo
    }
}

/// What an application of publications did.
public struct Applied: Sendable {
    /// Entries that replaced a lower version or nothing.
    public var won: [Entry] = []
    /// Agents whose gapless number rose.
    public var advanced: [AgentID] = []
}

/// Changes that are published together, where the keys that they follow from are still what they were.
public struct ChangeGroup: Sendable {
    /// What a key named when the changes were decided on; nil: nothing.
    public struct Seen: Sendable, Hashable {
        public let key: Key
        public let version: Version?

        public init(_ key: Key, _ version: Version?) {
            self.key = key
            self.version = version
        }
    }

    public let changes: [Publication.Change]
    public let seen: [Seen]

    public init(_ changes: [Publication.Change], seen: [Seen] = []) {
        self.changes = changes
        self.seen = seen
    }
}

extension Catalog {
    /// Numbers changes of an agent and applies them, in one transaction.
    ///
    /// - Returns: the publications. A change whose entry is not above the version that is here is not among them.
    public func publish(_ changes: [Publication.Change], by agent: AgentID) throws(StorageError) -> [Publication] {
        try publish(groups: [ChangeGroup(changes)], by: agent)[0] ?? []
    }

    /// The same for the changes of several publishers, in one transaction: all of them or none.
    ///
    /// - Returns: for each group its publications; nil where a key was not as it was seen: then none of the group is
    ///   published.
    public func publish(groups: [ChangeGroup], by agent: AgentID) throws(StorageError) -> [[Publication]?] {
        let now = wall()
        return try write("publish \(groups.count) groups of changes") { db in
            var writer = PublicationWriter(db: db, wallMilliseconds: now)
            var number = try writer.row(of: agent).upTo
            var out: [[Publication]?] = []
            out.reserveCapacity(groups.count)
            for group in groups {
                guard try group.seen.allSatisfy({ try Catalog.isAsSeen($0, in: db) }) else {
                    out.append(nil)
                    continue
                }
                var published: [Publication] = []
                for change in group.changes {
                    let publication = Publication(agent: agent, number: number + 1, change: change)
                    guard try writer.publish(publication) else { continue }
                    number += 1
                    published.append(publication)
                }
                out.append(published)
            }
            try writer.setUpTo(number, of: agent)
            try writer.keepClock()
            return out
        }
    }

    private static func isAsSeen(_ seen: ChangeGroup.Seen, in db: Database) throws -> Bool {
        let entry = try entry(seen.key.text, in: db)
        return (entry?.isTombstone == false ? entry?.version : nil) == seen.version
    }

    /// Applies publications of others, in one transaction.
    ///
    /// - Parameter spans: what the sender says of completeness; an agent's gapless number rises only where its span
    ///   begins at or below the number that is here.
    public func apply(
        _ publications: [Publication],
        spans: [AgentID: PublicationSpan]
    ) throws(StorageError) -> Applied {
        let now = wall()
        return try write("apply \(publications.count) publications") { db in
            var writer = PublicationWriter(db: db, wallMilliseconds: now)
            var applied = Applied()
            for publication in publications where try writer.apply(publication) {
                if case .entry(let entry) = publication.change { applied.won.append(entry) }
            }
            for (agent, span) in spans {
                let current = try writer.row(of: agent).upTo
                guard span.after <= current, span.upTo > current else { continue }
                try writer.setUpTo(span.upTo, of: agent)
                applied.advanced.append(agent)
            }
            try writer.keepClock()
            return applied
        }
    }

    /// Per agent the highest gapless number; of our own the highest number.
    public func vector() throws(StorageError) -> [AgentID: UInt64] {
        try read("read the vector") { db in
            var out: [AgentID: UInt64] = [:]
            let rows = try Row.fetchAll(db.cachedStatement(sql: "SELECT name, upTo FROM agents WHERE upTo > 0"))
            for row in rows { out[try AgentRows.decode(row[0])] = UInt64(bits: row[1]) }
            return out
        }
    }

    /// Forgets up to where other agents' publications are here, so that all of them are asked for again.
    public func forgetVector() throws(StorageError) {
        let own = agent
        try write("forget the vector") { db in
            try db.execute(sql: "UPDATE agents SET upTo = 0 WHERE name <> ?", arguments: [AgentRows.encode(own)])
        }
    }

    /// What is still current of an agent's publications above a number and up to the gapless one, in the order of
    /// their numbers. What came after a gap is here, but nothing can be said of its completeness yet.
    ///
    /// - Returns: also the number up to which the answer is complete: that of the last one where the limit cut it.
    public func publications(
        of agent: AgentID,
        after: UInt64,
        limit: Int
    ) throws(StorageError) -> (publications: [Publication], upTo: UInt64) {
        try Catalog.attempt("read publications of \(agent)") {
            try pool.read { db in
                guard let row = try AgentRows.find(agent, in: db) else { return ([], after) }
                let statement = try db.cachedStatement(
                    sql: """
                        SELECT number, 0, encoded FROM entries WHERE agent = ?1 AND number > ?2 AND number <= ?4
                        UNION ALL
                        SELECT number, 1 + held, manifest FROM holdings h WHERE agent = ?1 AND number > ?2 AND number <= ?4
                            AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.agent = h.agent AND e.number = h.number)
                        ORDER BY 1 LIMIT ?3
                        """
                )
                let arguments: StatementArguments = [row.id, Int64(bits: after), limit, Int64(bits: row.upTo)]
                let rows = try Row.fetchAll(statement, arguments: arguments)
                let publications = try rows.map { row in
                    let bytes = [UInt8](row[2] as Data)
                    let change: Publication.Change =
                        row[1] as Int == 0
                        ? .entry(try Entry(decoding: bytes))
                        : .holding(manifest: try AgentRows.digest(bytes), held: row[1] as Int == 2)
                    return Publication(agent: agent, number: UInt64(bits: row[0]), change: change)
                }
                let cut = publications.count == limit ? publications.last?.number : nil
                return (publications, max(after, cut ?? row.upTo))
            }
        }
    }

    /// The agents that hold an object whole.
    public func holders(of manifest: Digest) throws(StorageError) -> [AgentID] {
        try read("find the holders of \(manifest)") { db in
            let statement = try db.cachedStatement(
                sql: """
                    SELECT a.name FROM holdings h JOIN agents a ON a.id = h.agent WHERE h.manifest = ? AND h.held = 1
                    ORDER BY a.name
                    """
            )
            return try Data.fetchAll(statement, arguments: [Data(manifest.bytes)]).map { try AgentRows.decode($0) }
        }
    }

    /// The highest clock reading among all entries ever applied.
    public func clock() throws(StorageError) -> HybridTime {
        HybridTime(rawValue: try integer("clock") ?? 0)
    }

    /// Forgets tombstones and ended holdings older than a time: replicas that were away longer are replaced.
    ///
    /// - Returns: rows that went.
    public func prune(olderThan milliseconds: UInt64) throws(StorageError) -> Int {
        try write("prune tombstones") { db in
            let time = Int64(bits: HybridTime(milliseconds: milliseconds).rawValue)
            try db.execute(sql: "DELETE FROM entries WHERE kind = 0 AND time < ?", arguments: [time])
            let tombstones = db.changesCount
            if tombstones > 0 { try db.execute(sql: "DELETE FROM former WHERE key NOT IN (SELECT key FROM entries)") }
            try db.execute(
                sql: "DELETE FROM holdings WHERE held = 0 AND time < ?",
                arguments: [Int64(bits: milliseconds)]
            )
            return tombstones + db.changesCount
        }
    }
}
