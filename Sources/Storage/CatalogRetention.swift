// SPDX-License-Identifier: Apache-2.0

public import Content
import Foundation
import GRDB

/// A prefix without others that lie in it: what one rule is for. Each is `namespace` or `namespace/dir…`.
public struct KeyRange: Sendable, Hashable {
    public var prefix: String
    public var exceptions: [String]

    public init(prefix: String, exceptions: [String] = []) {
        self.prefix = prefix
        self.exceptions = exceptions
    }

    /// U+10FFFF is above every character that follows a prefix in a key.
    private static func bounds(_ prefix: String) -> [String] { [prefix + "/", prefix + "/\u{10FFFF}"] }

    fileprivate var condition: String {
        "key > ? AND key < ?" + exceptions.map { _ in " AND NOT (key > ? AND key < ?)" }.joined()
    }

    fileprivate var arguments: [String] { ([prefix] + exceptions).flatMap(KeyRange.bounds) }
}

// What has been kept for long enough. These look at every entry of a range: not for hot paths. Directories are not among
// the entries, nor keys that are pinned here.

extension Catalog {
    private static let files = "kind > 1 AND key NOT IN (SELECT key FROM pins)"

    /// The live entries of a range but the newest.
    ///
    /// - Parameters:
    ///   - keep: how many of the newest are left out, pinned ones among them.
    ///   - limit: the most that are told, the oldest first.
    public func beyondNewest(_ keep: Int, in range: KeyRange, limit: Int) throws(StorageError) -> [Entry] {
        try read("look for all but the newest \(keep) of \(range.prefix)") { db in
            let bounds: [any DatabaseValueConvertible] = range.arguments
            let sql =
                "SELECT time FROM entries WHERE kind > 1 AND \(range.condition) ORDER BY time DESC LIMIT 1 OFFSET ?"
            guard let last = try Int64.fetchOne(db, sql: sql, arguments: StatementArguments(bounds + [keep])) else {
                return []
            }
            return try Catalog.oldest(db, "time <= ? AND \(range.condition)", [last] + bounds, limit)
        }
    }

    /// The live entries of a range that have no bytes in the store, published before a time.
    public func inlined(before time: HybridTime, in range: KeyRange, limit: Int) throws(StorageError) -> [Entry] {
        try read("look for what is old in \(range.prefix)") { db in
            let arguments: [any DatabaseValueConvertible] = [Int64(bits: time.rawValue)] + range.arguments
            return try Catalog.oldest(db, "kind < 4 AND time < ? AND \(range.condition)", arguments, limit)
        }
    }

    /// The live entries that were published longest ago.
    public func oldest(limit: Int) throws(StorageError) -> [Entry] {
        try read("look for the oldest entries") { db in try Catalog.oldest(db, "TRUE", [], limit) }
    }

    private static func oldest(
        _ db: Database, _ condition: String, _ arguments: [any DatabaseValueConvertible], _ limit: Int
    ) throws -> [Entry] {
        let sql = "SELECT encoded FROM entries WHERE \(files) AND \(condition) ORDER BY time LIMIT ?"
        return try Data.fetchAll(db, sql: sql, arguments: StatementArguments(arguments + [limit]))
            .map { try Entry(decoding: [UInt8]($0)) }
    }
}
