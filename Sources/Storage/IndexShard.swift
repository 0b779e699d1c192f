// SPDX-License-Identifier: Apache-2.0

import Content

/// One of the index's tables: open addressing with linear probing over a mapped file. Used under the lock around it.
struct IndexShard: Sendable {
    enum Insertion { case inserted, present, full }

    private(set) var file: IndexFile
    /// The new file's name until it has taken the old one's place; see ``Index``.
    var unsettledName: String?
    /// While a sweep runs: one bit for each slot, set for what it must keep.
    private var marks: [UInt64]?

    init(file: IndexFile) { self.file = file }

    private var mask: Int { file.slotCount - 1 }

    /// Whether one more slot would make look-ups slow: three quarters are used or were.
    var isFull: Bool { (file.usedCount + file.tombstoneCount + 1) * 4 > file.slotCount * 3 }

    /// Slots for a new file: a quarter to half of them used.
    var nextSlotCount: Int {
        var count = IndexFile.slotCountMin
        while count < file.usedCount * 5 / 2 { count *= 2 }
        return count
    }

    private func position(of digest: Digest) -> Int? { position(prefix: digest.prefix, suffix: digest.suffix) }

    private func position(prefix: UInt64, suffix: UInt64) -> Int? {
        var at = Int(truncatingIfNeeded: prefix) & mask
        for _ in 0..<file.slotCount {
            let slot = file.slots + at
            let place = slot.pointee.place
            if place == 0 { return nil }
            if place & IndexSlot.used != 0, slot.pointee.prefix == prefix, slot.pointee.suffix == suffix {
                return at
            }
            at = (at + 1) & mask
        }
        return nil
    }

    func find(_ digest: Digest) -> IndexSlot? { position(of: digest).map { file.slots[$0] } }

    func find(_ prefix: DigestPrefix) -> [IndexSlot] {
        var at = Int(truncatingIfNeeded: prefix.low) & mask
        var found: [IndexSlot] = []
        for _ in 0..<file.slotCount {
            let slot = file.slots[at]
            if slot.place == 0 { break }
            if slot.isUsed, prefix.matches(word: slot.prefix) { found.append(slot) }
            at = (at + 1) & mask
        }
        return found
    }

    /// Finds, and keeps what it finds from the sweep that runs.
    mutating func touch(_ digest: Digest) -> IndexSlot? {
        guard let at = position(of: digest) else { return nil }
        mark(at)
        return file.slots[at]
    }

    private mutating func mark(_ at: Int) {
        guard marks != nil else { return }
        marks?[at >> 6] |= 1 << UInt64(at & 63)
    }

    mutating func insert(_ digest: Digest, _ slot: IndexSlot) -> Insertion {
        if touch(digest) != nil { return .present }
        if isFull { return .full }
        mark(put(slot))
        return .inserted
    }

    /// Lets a digest's slot name another place.
    ///
    /// - Returns: the place that it named before; nil where it has no slot.
    func replace(_ digest: Digest, _ slot: IndexSlot) -> UInt64? {
        guard let at = position(of: digest) else { return nil }
        let before = file.slots[at].place
        file.slots[at].lengths = slot.lengths
        file.slots[at].place = slot.place
        return before
    }

    /// Writes a slot whose digest has none, where there is room, and says where.
    private func put(_ slot: IndexSlot) -> Int {
        var at = Int(truncatingIfNeeded: slot.prefix) & mask
        var probes = 0
        while file.slots[at].isUsed, probes < file.slotCount {
            at = (at + 1) & mask
            probes += 1
        }
        if file.slots[at].place == IndexSlot.tombstone { file.tombstoneCount -= 1 }
        // The word that makes it valid comes last: a kill in between leaves an empty slot.
        file.slots[at].prefix = slot.prefix
        file.slots[at].suffix = slot.suffix
        file.slots[at].lengths = slot.lengths
        file.slots[at].place = slot.place
        file.usedCount += 1
        return at
    }

    /// Removes a chunk's slot if it still names this place.
    mutating func remove(_ digest: Digest, at place: UInt64) -> Bool {
        guard let at = position(of: digest), file.slots[at].place == place else { return false }
        bury(at)
        return true
    }

    /// Removes a slot if it is still there.
    mutating func remove(_ slot: IndexSlot) -> Bool {
        guard let at = position(prefix: slot.prefix, suffix: slot.suffix), file.slots[at].place == slot.place else {
            return false
        }
        bury(at)
        return true
    }

    private func bury(_ at: Int) {
        file.slots[at].place = IndexSlot.tombstone
        file.usedCount -= 1
        file.tombstoneCount += 1
    }

    /// Moves all slots to an empty, larger file.
    mutating func move(to new: IndexFile, named name: String) {
        let old = (file: file, marks: marks)
        file = new
        unsettledName = name
        if old.marks != nil { marks = [UInt64](repeating: 0, count: new.slotCount / 64) }
        for at in 0..<old.file.slotCount where old.file.slots[at].isUsed {
            let place = put(old.file.slots[at])
            if let marks = old.marks, marks[at >> 6] & 1 << UInt64(at & 63) != 0 { mark(place) }
        }
    }

    /// Begins a sweep: nothing is marked.
    mutating func beginMarks() { marks = [UInt64](repeating: 0, count: file.slotCount / 64) }
    mutating func endMarks() { marks = nil }

    /// Removes what is not marked, and ends the marks.
    mutating func sweep(dropped: (IndexSlot) -> Void, kept: (IndexSlot) -> Void) {
        guard let marks else { return }
        for at in 0..<file.slotCount where file.slots[at].isUsed {
            if marks[at >> 6] & 1 << UInt64(at & 63) == 0 {
                dropped(file.slots[at])
                bury(at)
            } else {
                kept(file.slots[at])
            }
        }
        self.marks = nil
    }

    /// Removes the slots that are not to be kept and counts the others: the header's counts may be off after a crash.
    func repair(keep: (IndexSlot) -> Bool) -> Int {
        var (used, tombstones, removed) = (0, 0, 0)
        for at in 0..<file.slotCount where file.slots[at].place != 0 {
            if file.slots[at].isUsed, keep(file.slots[at]) {
                used += 1
            } else {
                if file.slots[at].isUsed { removed += 1 }
                file.slots[at].place = IndexSlot.tombstone
                tombstones += 1
            }
        }
        file.usedCount = used
        file.tombstoneCount = tombstones
        return removed
    }

    func forEach(_ body: (IndexSlot) -> Void) {
        for at in 0..<file.slotCount where file.slots[at].isUsed { body(file.slots[at]) }
    }

    /// Up to `limit` used slots from a position on, and the position after them.
    func slots(from start: Int, limit: Int) -> (slots: [IndexSlot], next: Int?) {
        var found: [IndexSlot] = []
        var at = start
        while at < file.slotCount, found.count < limit {
            if file.slots[at].isUsed { found.append(file.slots[at]) }
            at += 1
        }
        return (found, at < file.slotCount ? at : nil)
    }
}
