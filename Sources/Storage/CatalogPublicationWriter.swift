// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import GRDB

/// The rows that stand for agents: a small number instead of sixteen bytes in every other table.
enum AgentRows {
    struct Found {
        let id: Int64
        let upTo: UInt64
    }

    static func find(_ agent: AgentID, in db: Database) throws -> Found? {
        let statement = try db.cachedStatement(sql: "SELECT id, upTo FROM agents WHERE name = ?")
        guard let row = try Row.fetchOne(statement, arguments: [encode(agent)]) else { return nil }
        return Found(id: row[0], upTo: UInt64(bits: row[1]))
    }

    static func row(of agent: AgentID, in db: Database) throws -> Found {
        if let found = try find(agent, in: db) { return found }
        try db.cachedStatement(sql: "INSERT INTO agents (name, upTo) VALUES (?, 0)")
            .execute(arguments: [encode(agent)])
        return Found(id: db.lastInsertedRowID, upTo: 0)
    }

    static func encode(_ agent: AgentID) -> Data {
        var writer = ByteWriter(reserving: 16)
        agent.encode(into: &writer)
        return Data(writer.bytes)
    }

    static func decode(_ data: Data) throws -> AgentID {
        var reader = ByteReader([UInt8](data))
        return try AgentID(decoding: &reader)
    }

    static func digest(_ bytes: [UInt8]) throws -> Digest {
        var reader = ByteReader(bytes)
        return try reader.digest()
    }
}

/// Applies publications inside one transaction: entries by version, holdings by number, and the directories that live
/// entries imply.
struct PublicationWriter {
    let db: Database
    let wallMilliseconds: UInt64
    private var rows: [AgentID: AgentRows.Found] = [:]
    private var clock = HybridTime(rawValue: 0)

    init(db: Database, wallMilliseconds: UInt64) {
        self.db = db
        self.wallMilliseconds = wallMilliseconds
    }

    mutating func row(of agent: AgentID) throws -> AgentRows.Found {
        if let found = rows[agent] { return found }
        let found = try AgentRows.row(of: agent, in: db)
        rows[agent] = found
        return found
    }

    mutating func setUpTo(_ number: UInt64, of agent: AgentID) throws {
        let row = try row(of: agent)
        try db.cachedStatement(sql: "UPDATE agents SET upTo = ? WHERE id = ?")
            .execute(arguments: [Int64(bits: number), row.id])
        rows[agent] = AgentRows.Found(id: row.id, upTo: number)
    }

    /// Keeps the highest clock reading seen, so that a restart continues above it.
    func keepClock() throws {
        guard clock.rawValue > 0 else { return }
        try db.cachedStatement(
            sql: """
                INSERT INTO meta (name, number) VALUES ('clock', ?)
                ON CONFLICT (name) DO UPDATE SET number = max(number, excluded.number)
                """
        ).execute(arguments: [Int64(bits: clock.rawValue)])
    }

    /// Applies a change of our own unless it would do nothing: an entry must be above the version that is here.
    ///
    /// - Returns: whether it was applied.
    mutating func publish(_ publication: Publication) throws -> Bool {
        guard case .entry(let entry) = publication.change else {
            _ = try apply(publication)
            return true
        }
        let old = try Catalog.entry(entry.key.text, in: db)
        if let old, old.version >= entry.version { return false }
        return try apply(entry, of: publication, over: old)
    }

    /// - Returns: whether it is an entry that won.
    mutating func apply(_ publication: Publication) throws -> Bool {
        switch publication.change {
        case .holding(let manifest, let held):
            try hold(manifest, held: held, by: publication)
            return false
        case .entry(let entry):
            return try apply(entry, of: publication, over: try Catalog.entry(entry.key.text, in: db))
        }
    }

    private mutating func apply(_ entry: Entry, of publication: Publication, over old: Entry?) throws -> Bool {
        clock = max(clock, entry.version.time)
        if let manifest = entry.manifest { try hold(manifest, held: true, by: publication) }
        if let old, old.version >= entry.version { return false }
        try put(entry, of: publication)
        if let old, let manifest = old.manifest, manifest != entry.manifest {
            try Catalog.keepFormer(manifest, of: old, in: db)
        }
        let wasLive = old.map { !$0.isTombstone } ?? false
        if wasLive == entry.isTombstone { try count(entry.isTombstone ? -1 : 1, in: String(entry.key.parent)) }
        return true
    }

    private mutating func put(_ entry: Entry, of publication: Publication) throws {
        let agent = try row(of: publication.agent).id
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO entries (key, parent, name, kind, manifest, agent, number, time, encoded)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, manifest = excluded.manifest,
                    agent = excluded.agent, number = excluded.number, time = excluded.time, encoded = excluded.encoded
                """
        )
        try statement.execute(arguments: [
            entry.key.text, String(entry.key.parent), String(entry.key.name), entry.kind,
            entry.manifest.map { Data($0.bytes) }, agent, Int64(bits: publication.number),
            Int64(bits: entry.version.time.rawValue), Data(entry.encoded()),
        ])
    }

    private mutating func hold(_ manifest: Digest, held: Bool, by publication: Publication) throws {
        let agent = try row(of: publication.agent).id
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO holdings (manifest, agent, held, number, time) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (manifest, agent) DO UPDATE SET held = excluded.held, number = excluded.number,
                    time = excluded.time WHERE excluded.number > number
                """
        )
        try statement.execute(arguments: [
            Data(manifest.bytes), agent, held ? 1 : 0, Int64(bits: publication.number), Int64(bits: wallMilliseconds),
        ])
    }

    /// Counts a live name more or less in a directory; a directory that comes or goes counts in its own parent.
    private func count(_ change: Int, in directory: String) throws {
        // A namespace is always there and has no row.
        guard let slash = directory.utf8.lastIndex(of: UInt8(ascii: "/")) else { return }
        let parent = String(directory[..<slash])
        let name = String(directory[directory.utf8.index(after: slash)...])
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO directories (parent, name, count) VALUES (?1, ?2, ?3)
                ON CONFLICT (parent, name) DO UPDATE SET count = count + ?3 RETURNING count
                """
        )
        let after = try Int.fetchOne(statement, arguments: [parent, name, change]) ?? 0
        if change > 0, after == 1 { try count(1, in: parent) }
        if after <= 0 {
            try db.cachedStatement(sql: "DELETE FROM directories WHERE parent = ? AND name = ?")
                .execute(arguments: [parent, name])
            try count(-1, in: parent)
        }
    }
}

extension Entry {
    /// The number of the kind in the catalog; as in the encoded form.
    var kind: Int {
        switch body {
        case .tombstone: 0
        case .directory: 1
        case .symlink: 2
        case .inline: 3
        case .object: 4
        }
    }
}
