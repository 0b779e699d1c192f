// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

/// Digest to place, for every chunk of the store: 64 mapped tables by the first bits of the digest.
///
/// A table that fills up moves to a larger file: made outside the lock, filled under it (memory only), brought to the
/// disk and renamed over the old one after it. Until the rename a crash finds the old file, which lacks only records
/// above the watermark; tombstones must not be lost like that, because what they bury is punched out, so ``sync()``
/// settles renames that another thread has not come to yet.
final class Index: Sendable {
    static let shardCount = 64
    private static let shardBits = 6

    private let shards: [NIOLockedValueBox<IndexShard>]
    private let folder: Folder
    private let renames = NIOLockedValueBox<UInt64>(0)

    private init(shards: [NIOLockedValueBox<IndexShard>], folder: Folder) {
        self.shards = shards
        self.folder = folder
    }

    private static func name(_ shard: Int) -> String { (shard < 10 ? "0" : "") + "\(shard).idx" }

    /// Maps all tables, and makes those anew that are missing or not ours.
    ///
    /// - Returns: the index and how many tables were made anew.
    static func open(in folder: Folder) throws(StorageError) -> (index: Index, lost: Int) {
        for name in try folder.names() where name.hasSuffix(".new") { try folder.remove(name) }
        var shards: [NIOLockedValueBox<IndexShard>] = []
        var lost = 0
        for shard in 0..<shardCount {
            var file = try IndexFile.open(name(shard), shard: shard, in: folder)
            if file == nil { lost += 1 }
            if file == nil {
                file = try IndexFile.create(name(shard), shard: shard, slotCount: IndexFile.slotCountMin, in: folder)
            }
            if let file { shards.append(NIOLockedValueBox(IndexShard(file: file))) }
        }
        return (Index(shards: shards, folder: folder), lost)
    }

    @inline(__always)
    private func shard(of prefix: UInt64) -> Int { Int(prefix >> UInt64(64 - Index.shardBits)) }

    func find(_ digest: Digest) -> IndexSlot? {
        shards[shard(of: digest.prefix)].withLockedValue { $0.find(digest) }
    }

    /// The slots of chunks whose digest has these bits: none, or one, or with bad luck a few.
    func find(_ prefix: DigestPrefix) -> [IndexSlot] { shards[prefix.high].withLockedValue { $0.find(prefix) } }

    /// Finds, and keeps what it finds from the sweep that runs.
    func touch(_ digest: Digest) -> IndexSlot? {
        shards[shard(of: digest.prefix)].withLockedValue { $0.touch(digest) }
    }

    /// - Returns: false where the chunk has a slot already.
    func insert(_ header: RecordHeader, at place: Place) throws(StorageError) -> Bool {
        let number = shard(of: header.digest.prefix)
        let slot = IndexSlot(header, at: place)
        while true {
            switch shards[number].withLockedValue({ $0.insert(header.digest, slot) }) {
            case .inserted: return true
            case .present: return false
            case .full: try grow(number)
            }
        }
    }

    /// Lets a chunk's slot name this place, whatever it named before.
    ///
    /// - Returns: false where it did already.
    func set(_ header: RecordHeader, at place: Place) throws(StorageError) -> Bool {
        let slot = IndexSlot(header, at: place)
        let known = shards[shard(of: header.digest.prefix)].withLockedValue { $0.replace(header.digest, slot) }
        guard let known else { return try insert(header, at: place) }
        return known != slot.place
    }

    /// - Returns: false where the chunk's slot names another place by now, or is gone.
    func remove(_ digest: Digest, at place: UInt64) -> Bool {
        shards[shard(of: digest.prefix)].withLockedValue { $0.remove(digest, at: place) }
    }

    /// Removes a slot whose whole digest is not known, if it still names its place.
    func remove(_ slot: IndexSlot) -> Bool { shards[shard(of: slot.prefix)].withLockedValue { $0.remove(slot) } }

    private func grow(_ number: Int) throws(StorageError) {
        let (slotCount, old) = shards[number].withLockedValue { ($0.nextSlotCount, $0.file) }
        let count = renames.withLockedValue { count in
            count += 1
            return count
        }
        // A name of its own: another thread may grow the same table, or be about to rename a file made before.
        let name = "\(Index.name(number)).\(count).new"
        let new = try IndexFile.create(name, shard: number, slotCount: slotCount, in: folder)
        // A rename that is due must not come after the one of the new file.
        try settle(number)
        let moved = shards[number].withLockedValue { shard -> Bool in
            guard shard.file === old, shard.unsettledName == nil, shard.nextSlotCount <= slotCount else { return false }
            shard.move(to: new, named: name)
            return true
        }
        if moved { try settle(number) } else { try folder.remove(name) }
    }

    /// Lets a table's new file take its name. Two threads may do so at once; both return when it is done.
    private func settle(_ number: Int) throws(StorageError) {
        let (name, file) = shards[number].withLockedValue { ($0.unsettledName, $0.file) }
        guard let name else { return }
        try file.sync()
        try folder.rename(name, to: Index.name(number))
        try folder.sync()
        shards[number].withLockedValue { if $0.unsettledName == name { $0.unsettledName = nil } }
    }

    /// Changes made before are on the disk when this returns.
    func sync() throws(StorageError) {
        for number in 0..<Index.shardCount {
            try settle(number)
            try shards[number].withLockedValue { $0.file }.sync()
        }
        try folder.sync()
    }

    var count: Int { shards.reduce(0) { $0 + $1.withLockedValue { $0.file.usedCount } } }

    func beginMarks() { for shard in shards { shard.withLockedValue { $0.beginMarks() } } }
    func endMarks() { for shard in shards { shard.withLockedValue { $0.endMarks() } } }

    /// Removes what is not marked. The closures are called under a lock of a table: they must only count and collect.
    func sweep(dropped: (IndexSlot) -> Void, kept: (IndexSlot) -> Void) {
        for shard in shards { shard.withLockedValue { $0.sweep(dropped: dropped, kept: kept) } }
    }

    /// Removes slots that are not to be kept, counts the others, and says how many were removed.
    func repair(keep: (IndexSlot) -> Bool) -> Int {
        shards.reduce(0) { $0 + $1.withLockedValue { $0.repair(keep: keep) } }
    }

    func forEach(_ body: (IndexSlot) -> Void) {
        for shard in shards { shard.withLockedValue { $0.forEach(body) } }
    }

    /// Some used slots from a position on; nil after the last.
    func slots(from position: ScrubPosition, limit: Int) -> (slots: [IndexSlot], next: ScrubPosition?) {
        let (found, next) = shards[position.shard].withLockedValue { $0.slots(from: position.slot, limit: limit) }
        if let next { return (found, ScrubPosition(shard: position.shard, slot: next)) }
        let following = position.shard + 1
        return (found, following < Index.shardCount ? ScrubPosition(shard: following, slot: 0) : nil)
    }
}
