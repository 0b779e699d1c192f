// SPDX-License-Identifier: Apache-2.0

public import Content
import Foundation
import GRDB

/// What this agent knows of an object of which it has at least a part.
public struct ObjectRecord: Hashable, Sendable {
    public let manifest: Digest
    /// Bytes of the object.
    public let size: UInt64
    /// Whether every chunk is in the store.
    public let isWhole: Bool
    /// When it was last read or written, milliseconds since 1970.
    public let readAt: UInt64

    public init(manifest: Digest, size: UInt64, isWhole: Bool, readAt: UInt64) {
        self.manifest = manifest
        self.size = size
        self.isWhole = isWhole
        self.readAt = readAt
    }
}

extension Catalog {
    /// Records an object, or what changed of it; the time of reading becomes now.
    public func recordObject(manifest: Digest, size: UInt64, whole: Bool) throws(StorageError) {
        let now = wall()
        // Read before the commit: a sync that begins after it includes what was stored before.
        let generation = recorded()
        try write("record object \(manifest)") { db in
            try db.cachedStatement(
                sql: """
                    INSERT INTO objects (manifest, size, whole, readAt, generation) VALUES (?, ?, ?, ?, ?)
                    ON CONFLICT (manifest) DO UPDATE SET size = excluded.size, whole = max(whole, excluded.whole),
                        readAt = max(readAt, excluded.readAt), generation = max(generation, excluded.generation)
                    """
            ).execute(arguments: [
                Data(manifest.bytes), Int64(bits: size), whole ? 1 : 0, Int64(bits: now), Int64(bits: generation),
            ])
        }
    }

    public func object(_ manifest: Digest) throws(StorageError) -> ObjectRecord? {
        try read("find object \(manifest)") { db in
            let statement = try db.cachedStatement(
                sql: "SELECT manifest, size, whole, readAt FROM objects WHERE manifest = ?"
            )
            return try Row.fetchOne(statement, arguments: [Data(manifest.bytes)]).map(ObjectRecord.init)
        }
    }

    /// Notes when objects were last read (milliseconds since 1970); unknown ones are left out.
    public func touch(_ reads: [(manifest: Digest, readAt: UInt64)]) throws(StorageError) {
        guard !reads.isEmpty else { return }
        try write("note \(reads.count) reads") { db in
            let statement = try db.cachedStatement(
                sql: "UPDATE objects SET readAt = max(readAt, ?) WHERE manifest = ?"
            )
            for read in reads {
                try statement.execute(arguments: [Int64(bits: read.readAt), Data(read.manifest.bytes)])
            }
        }
    }

    /// Objects, whole and partial, the longest unread first.
    ///
    /// - Parameter after: the record after which to go on; nil: from the coldest.
    public func coldest(limit: Int, after: ObjectRecord? = nil) throws(StorageError) -> [ObjectRecord] {
        try read("find cold objects") { db in
            let statement = try db.cachedStatement(
                sql: """
                    SELECT manifest, size, whole, readAt FROM objects WHERE (readAt, manifest) > (?, ?)
                    ORDER BY readAt, manifest LIMIT ?
                    """
            )
            let readAt = after.map { Int64(bits: $0.readAt) } ?? -1
            let manifest = after.map { Data($0.manifest.bytes) } ?? Data()
            return try Row.fetchAll(statement, arguments: [readAt, manifest, limit]).map(ObjectRecord.init)
        }
    }

    /// - Returns: whether there was a record.
    @discardableResult
    public func forgetObject(_ manifest: Digest) throws(StorageError) -> Bool {
        try write("forget object \(manifest)") { db in
            try db.cachedStatement(sql: "DELETE FROM objects WHERE manifest = ?")
                .execute(arguments: [Data(manifest.bytes)])
            return db.changesCount > 0
        }
    }

    /// Pins a key. - Returns: whether it was not pinned before.
    @discardableResult
    public func pin(_ key: Key) throws(StorageError) -> Bool {
        try write("pin \(key)") { db in
            try db.cachedStatement(sql: "INSERT OR IGNORE INTO pins (key) VALUES (?)").execute(arguments: [key.text])
            return db.changesCount > 0
        }
    }

    /// Removes a pin. - Returns: whether there was one.
    @discardableResult
    public func unpin(_ key: Key) throws(StorageError) -> Bool {
        try write("unpin \(key)") { db in
            try db.cachedStatement(sql: "DELETE FROM pins WHERE key = ?").execute(arguments: [key.text])
            return db.changesCount > 0
        }
    }

    /// All pinned keys, in the order of their bytes.
    public func pins() throws(StorageError) -> [Key] {
        try read("read pins") { db in
            try String.fetchAll(db, sql: "SELECT key FROM pins ORDER BY key").map { try Key($0) }
        }
    }

    /// Per segment, the position up to which it and the index are known to be on the disk.
    public func watermarks() throws(StorageError) -> [UInt32: UInt64] {
        try read("read watermarks") { db in
            var out: [UInt32: UInt64] = [:]
            for row in try Row.fetchAll(db, sql: "SELECT segment, position FROM watermarks") {
                out[row[0] as UInt32] = UInt64(bits: row[1])
            }
            return out
        }
    }

    /// Replaces all watermarks.
    public func setWatermarks(_ marks: [UInt32: UInt64]) throws(StorageError) {
        try write("set watermarks") { db in
            try db.execute(sql: "DELETE FROM watermarks")
            let statement = try db.cachedStatement(sql: "INSERT INTO watermarks (segment, position) VALUES (?, ?)")
            for (segment, position) in marks {
                try statement.execute(arguments: [Int64(segment), Int64(bits: position)])
            }
        }
    }

    /// A number kept under a name, or nil.
    public func integer(_ name: String) throws(StorageError) -> UInt64? {
        try read("read \(name)") { db in
            let statement = try db.cachedStatement(sql: "SELECT number FROM meta WHERE name = ?")
            return try Int64.fetchOne(statement, arguments: [name]).map { UInt64(bits: $0) }
        }
    }

    /// Keeps a number under a name.
    public func setInteger(_ name: String, _ value: UInt64) throws(StorageError) {
        try write("keep \(name)") { db in
            try db.cachedStatement(
                sql: """
                    INSERT INTO meta (name, number) VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET number = excluded.number
                    """
            ).execute(arguments: [name, Int64(bits: value)])
        }
    }
}

extension ObjectRecord {
    init(row: Row) throws {
        self.init(
            manifest: try AgentRows.digest([UInt8](row[0] as Data)),
            size: UInt64(bits: row[1]),
            isWhole: row[2] as Int != 0,
            readAt: UInt64(bits: row[3])
        )
    }
}
