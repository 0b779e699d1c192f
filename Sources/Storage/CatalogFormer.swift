// SPDX-License-Identifier: Apache-2.0

public import Content
import Foundation
import GRDB

/// What keys named before their present version, and what their neighbours name: objects that a new one may resemble.
extension Catalog {
    /// Former objects kept for a key: the last is the best base, and a branch that was built in between may have
    /// overwritten it.
    static let formerCountMax = 4

    /// Keeps what an entry named, for it is being overwritten or removed.
    static func keepFormer(_ manifest: Digest, of entry: Entry, in db: Database) throws {
        let key = entry.key.text
        try db.cachedStatement(sql: "INSERT OR REPLACE INTO former (key, manifest, time) VALUES (?, ?, ?)")
            .execute(arguments: [key, Data(manifest.bytes), Int64(bits: entry.version.time.rawValue)])
        let statement = try db.cachedStatement(
            sql: """
                DELETE FROM former WHERE key = ?1 AND manifest NOT IN
                    (SELECT manifest FROM former WHERE key = ?1 ORDER BY time DESC LIMIT ?2)
                """
        )
        try statement.execute(arguments: [key, formerCountMax])
    }

    /// What a key named before, the latest first.
    public func formerManifests(of key: Key) throws(StorageError) -> [Digest] {
        try read("find former objects of \(key)") { db in
            let statement = try db.cachedStatement(sql: "SELECT manifest FROM former WHERE key = ? ORDER BY time DESC")
            return try Data.fetchAll(statement, arguments: [key.text]).map { try AgentRows.digest([UInt8]($0)) }
        }
    }

    /// Keys that named an object before their present version.
    public func formerKeys(of manifest: Digest) throws(StorageError) -> [Key] {
        try read("find what named object \(manifest)") { db in
            let statement = try db.cachedStatement(sql: "SELECT key FROM former WHERE manifest = ?")
            return try String.fetchAll(statement, arguments: [Data(manifest.bytes)]).map { try Key($0) }
        }
    }

    /// The namespaces in which keys name an object, or named it before.
    public func namespaces(of manifest: Digest) throws(StorageError) -> Set<String> {
        Set(try (keys(of: manifest) + formerKeys(of: manifest)).map { String($0.namespace) })
    }

    /// Objects that live keys directly in a directory name, the latest version first.
    public func latestObjects(
        in parent: String, limit: Int
    ) throws(StorageError) -> [(manifest: Digest, size: UInt64)] {
        try read("find the latest objects in \(parent)") { db in
            let statement = try db.cachedStatement(
                sql: "SELECT encoded FROM entries WHERE parent = ? AND kind = 4 ORDER BY time DESC LIMIT ?"
            )
            return try Data.fetchAll(statement, arguments: [parent, limit]).compactMap { data in
                guard case .object(let manifest, let size) = try Entry(decoding: [UInt8](data)).body else { return nil }
                return (manifest, size)
            }
        }
    }
}
