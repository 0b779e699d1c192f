// SPDX-License-Identifier: Apache-2.0

// The catalog keeps what is small and must change together: entries, holdings, who has published how much, object
// records, pins, watermarks and a few numbers. It is SQLite in WAL mode beside the segments.
//
// - One writer at a time, any number of readers, none of which waits for the writer.
// - A commit survives the death of the process at once and a power loss after ``Catalog/sync()`` (synchronous NORMAL:
//   one fsync per checkpoint, so that twenty thousand small publications do not cost twenty thousand fsyncs).
// - Unsigned numbers are stored as the bit pattern of an Int64.
// - Every entry keeps its encoded bytes; the columns beside them are only what look-ups need.
// - The catalog is never on the hit path of a read of bytes, but a look-up of a name is one indexed read.

public import Content
import Foundation
import GRDB
public import Logging

/// Names, holdings and records of one store, in SQLite.
public final class Catalog: Sendable {
    /// The numbers that are skipped at every open. A power loss may forget the last commits, which peers may have
    /// seen; a number must never be used twice, and far fewer than this fit between two fsyncs of the log.
    public static let numberGap: UInt64 = 1 << 20

    /// The most readers at a time; look-ups take microseconds, so more would only wait for the same two cores.
    static let readerCountMax = 8

    /// The agent whose store this is; made at the first open.
    public let agent: AgentID
    /// The highest number of ours that this catalog knew when it was opened. Peers may know more of our publications
    /// where a power loss took our last commits; those up to ``numberGap`` above are to be fetched from them.
    public let recoveredNumber: UInt64

    let pool: DatabasePool
    let wall: @Sendable () -> UInt64
    let syncs: CatalogSyncs

    /// Opens or makes the catalog of a store.
    ///
    /// - Parameters:
    ///   - path: the directory of the store; it must exist.
    ///   - wall: milliseconds since 1970.
    /// - Throws: ``StorageError`` of any code.
    public static func open(
        path: String,
        logger: Logger,
        wall: @escaping @Sendable () -> UInt64 = WallClock.milliseconds
    ) throws(StorageError) -> Catalog {
        let file = path + "/catalog.sqlite"
        let catalog = try attempt("open \(file)") {
            var configuration = Configuration()
            configuration.label = "catalog"
            configuration.maximumReaderCount = readerCountMax
            configuration.busyMode = .timeout(5)
            configuration.prepareDatabase { db in
                try db.execute(sql: "PRAGMA temp_store = MEMORY")
                try db.execute(sql: "PRAGMA cache_size = -4096")
            }
            let pool = try DatabasePool(path: file, configuration: configuration)
            try Catalog.migrator.migrate(pool)
            return try Catalog(pool: pool, wall: wall)
        }
        logger.debug("catalog opened", metadata: ["agent": "\(catalog.agent)", "path": "\(file)"])
        return catalog
    }

    private init(pool: DatabasePool, wall: @escaping @Sendable () -> UInt64) throws {
        self.pool = pool
        self.wall = wall
        syncs = CatalogSyncs(generation: try pool.read { try Catalog.durableGeneration($0) } + 1)
        // Numbers above the gap are given from now on: that it was skipped must survive a power loss before one is.
        (agent, recoveredNumber) = try pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA synchronous = FULL")
            defer { try? db.execute(sql: "PRAGMA synchronous = NORMAL") }
            var opened: (AgentID, UInt64)?
            try db.inTransaction {
                let agent = try Catalog.ownAgent(db)
                let row = try AgentRows.row(of: agent, in: db)
                try db.execute(
                    sql: "UPDATE agents SET upTo = upTo + ? WHERE id = ?",
                    arguments: [Int64(Catalog.numberGap), row.id]
                )
                opened = (agent, row.upTo)
                return .commit
            }
            guard let opened else { throw StorageError(.io, "the catalog did not say whose it is") }
            return opened
        }
    }

    private static func ownAgent(_ db: Database) throws -> AgentID {
        if let hex = try String.fetchOne(db, sql: "SELECT text FROM meta WHERE name = 'agent'") {
            guard let agent = AgentID(hex: hex) else {
                throw StorageError(.corrupt, "the catalog's agent id is not one: '\(hex)'")
            }
            return agent
        }
        let agent = AgentID.random()
        try db.execute(sql: "INSERT INTO meta (name, text) VALUES ('agent', ?)", arguments: [agent.hex])
        return agent
    }

    /// Makes everything committed before survive a power loss: one fsync.
    public func sync() throws(StorageError) {
        // A commit with synchronous FULL syncs the log with all commits before it, and needs no checkpoint.
        try attempt("sync the catalog") {
            try pool.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA synchronous = FULL")
                defer { try? db.execute(sql: "PRAGMA synchronous = NORMAL") }
                try db.execute(
                    sql: """
                        INSERT INTO meta (name, number) VALUES ('syncs', 1)
                        ON CONFLICT (name) DO UPDATE SET number = number + 1
                        """
                )
            }
        }
    }

    /// Closes the files. Every later call throws.
    public func close() throws(StorageError) {
        try attempt("close the catalog") { try pool.close() }
    }

    /// Runs one read, without a transaction of its own: one statement sees one state anyway.
    func read<T>(_ what: String, _ body: (Database) throws -> T) throws(StorageError) -> T {
        try Catalog.attempt(what) { try pool.unsafeRead(body) }
    }

    /// Runs one transaction.
    func write<T>(_ what: String, _ body: (Database) throws -> T) throws(StorageError) -> T {
        try Catalog.attempt(what) { try pool.write(body) }
    }

    private func attempt<T>(_ what: String, _ body: () throws -> T) throws(StorageError) -> T {
        try Catalog.attempt(what, body)
    }

    /// The table from SQLite's errors to ours.
    static func attempt<T>(_ what: String, _ body: () throws -> T) throws(StorageError) -> T {
        do {
            return try body()
        } catch let error as StorageError {
            throw error
        } catch let error as ContentError {
            throw StorageError(.corrupt, "could not \(what): the catalog holds bytes that do not decode: \(error)")
        } catch let error as DatabaseError {
            let words = "could not \(what): SQLite says \(error.resultCode.rawValue): \(error.message ?? "nothing")"
            switch error.resultCode {
            case .SQLITE_FULL: throw StorageError(.noSpace, words + "; the disk is full")
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                throw StorageError(.corrupt, words + "; move the catalog away to start with an empty one")
            case .SQLITE_BUSY, .SQLITE_LOCKED: throw StorageError(.locked, words)
            case .SQLITE_TOOBIG: throw StorageError(.tooLarge, words)
            default: throw StorageError(.io, words)
            }
        } catch {
            throw StorageError(.io, "could not \(what): \(error)")
        }
    }
}
