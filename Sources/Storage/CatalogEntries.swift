// SPDX-License-Identifier: Apache-2.0

public import Content
import Foundation
import GRDB

/// One name in a directory.
public struct Child: Sendable, Hashable {
    public let name: String
    /// Nil where the name is a directory that only the keys below it imply.
    public let entry: Entry?

    public init(name: String, entry: Entry?) {
        self.name = name
        self.entry = entry
    }
}

extension Catalog {
    /// The entry of a key, tombstones included.
    public func entry(_ key: Key) throws(StorageError) -> Entry? {
        try read("look up \(key)") { db in try Catalog.entry(key.text, in: db) }
    }

    static func entry(_ key: String, in db: Database) throws -> Entry? {
        let statement = try db.cachedStatement(sql: "SELECT encoded FROM entries WHERE key = ?")
        guard let data = try Data.fetchOne(statement, arguments: [key]) else { return nil }
        return try Entry(decoding: [UInt8](data))
    }

    /// The live names directly in a directory, in the order of their bytes.
    ///
    /// Where a key names something and others lie below it, the entry is what is told.
    ///
    /// - Parameters:
    ///   - parent: `namespace` or `namespace/dir…`.
    ///   - name: the name after which to go on.
    public func children(of parent: String, after name: String?, limit: Int) throws(StorageError) -> [Child] {
        try Catalog.attempt("list \(parent)") {
            try pool.read { db in
                let explicit = try Row.fetchAll(
                    db.cachedStatement(
                        sql: """
                            SELECT name, encoded FROM entries WHERE parent = ? AND name > ? AND kind <> 0
                            ORDER BY name LIMIT ?
                            """
                    ),
                    arguments: [parent, name ?? "", limit]
                )
                let implied = try String.fetchAll(
                    db.cachedStatement(
                        sql: "SELECT name FROM directories WHERE parent = ? AND name > ? ORDER BY name LIMIT ?"
                    ),
                    arguments: [parent, name ?? "", limit]
                )
                let entries = try explicit.map { row in
                    Child(name: row[0], entry: try Entry(decoding: [UInt8](row[1] as Data)))
                }
                return Catalog.merge(entries, implied, limit: limit)
            }
        }
    }

    /// Merges two lists in the order of their names' bytes; of equal names the entry stays.
    private static func merge(_ entries: [Child], _ implied: [String], limit: Int) -> [Child] {
        var out: [Child] = []
        var (i, j) = (0, 0)
        while out.count < limit, i < entries.count || j < implied.count {
            if j == implied.count {
                out.append(entries[i])
                i += 1
            } else if i == entries.count || before(implied[j], entries[i].name) {
                out.append(Child(name: implied[j], entry: nil))
                j += 1
            } else {
                if !before(entries[i].name, implied[j]) { j += 1 }
                out.append(entries[i])
                i += 1
            }
        }
        return out
    }

    private static func before(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }

    /// Whether a text names a directory: a namespace always does; else an entry says so or keys below it imply it.
    public func isDirectory(_ text: String) throws(StorageError) -> Bool {
        guard let slash = text.utf8.lastIndex(of: UInt8(ascii: "/")) else { return true }
        return try read("look up \(text)") { db in
            let implied = try db.cachedStatement(
                sql: """
                    SELECT 1 FROM directories WHERE parent = ?1 AND name = ?2
                    UNION ALL SELECT 1 FROM entries WHERE key = ?3 AND kind = 1
                    """
            )
            let name = String(text[text.utf8.index(after: slash)...])
            return try Int.fetchOne(implied, arguments: [String(text[..<slash]), name, text]) != nil
        }
    }

    /// What a key names, tombstones included, and whether keys below it make it a directory: one read.
    public func find(_ key: Key) throws(StorageError) -> (entry: Entry?, isImplied: Bool) {
        try read("look up \(key)") { db in
            let entry = try Catalog.entry(key.text, in: db)
            if let entry, !entry.isTombstone { return (entry, false) }
            return (entry, try Catalog.isImplied(key, in: db))
        }
    }

    /// What stands in the way of a new key: the entry of the directory that it lies in, where that has one, and its own
    /// being a directory. One read.
    public func place(of key: Key) throws(StorageError) -> (parent: Entry?, isDirectory: Bool) {
        try read("look for a place for \(key)") { db in
            let parent = try Catalog.entry(String(key.parent), in: db)
            if try Catalog.isImplied(key, in: db) { return (parent, true) }
            return (parent, try Catalog.entry(key.text, in: db)?.body == .directory)
        }
    }

    private static func isImplied(_ key: Key, in db: Database) throws -> Bool {
        let statement = try db.cachedStatement(sql: "SELECT 1 FROM directories WHERE parent = ? AND name = ?")
        return try Int.fetchOne(statement, arguments: [String(key.parent), String(key.name)]) != nil
    }

    /// Live entries whose key begins with a text, in the order of their keys' bytes.
    public func list(prefix: String, after: Key?, limit: Int) throws(StorageError) -> [Entry] {
        try read("list \(prefix)") { db in
            // U+10FFFF is above every character that follows the prefix in a key.
            let statement = try db.cachedStatement(
                sql: """
                    SELECT encoded FROM entries WHERE key >= ? AND key > ? AND key < ? AND kind <> 0
                    ORDER BY key LIMIT ?
                    """
            )
            let rows = try Data.fetchAll(
                statement,
                arguments: [prefix, after?.text ?? "", prefix + "\u{10FFFF}", limit]
            )
            return try rows.map { try Entry(decoding: [UInt8]($0)) }
        }
    }

    /// The live keys that name an object.
    public func keys(of manifest: Digest) throws(StorageError) -> [Key] {
        try read("find the keys of \(manifest)") { db in
            let statement = try db.cachedStatement(sql: "SELECT key FROM entries WHERE manifest = ?")
            return try String.fetchAll(statement, arguments: [Data(manifest.bytes)]).map { try Key($0) }
        }
    }

    /// How many live entries there are; counts, so not for hot paths.
    public func entryCount() throws(StorageError) -> Int {
        try read("count entries") { db in
            try Int.fetchOne(db, sql: "SELECT count(*) FROM entries WHERE kind <> 0") ?? 0
        }
    }
}
