// SPDX-License-Identifier: Apache-2.0

public import Content
import Synchronization

extension ChunkStore {
    /// Drops every chunk that `mark` does not keep and that was neither inserted nor asked for (``contains(_:)``) since
    /// the sweep began, and gives its space back to the disk.
    ///
    /// - Parameter mark: is told a function to call with each digest to keep; it may read the store meanwhile.
    /// - Returns: bytes of the disk that became free.
    /// - Throws: what `mark` throws, with nothing dropped; ``StorageError`` `locked` where another sweep is under way,
    ///   or `io`.
    @discardableResult
    public func sweep(mark: (_ keep: (Digest) -> Void) throws -> Void) throws -> UInt64 {
        guard !isSweeping.exchange(true, ordering: .acquiring) else {
            throw StorageError(.locked, "another sweep of the store is under way: wait for its end")
        }
        defer { isSweeping.store(false, ordering: .releasing) }
        // Segments that are written to now may hold records without a slot: those are not looked for gaps.
        let settled = withAppender { $0.settled }
        index.beginMarks()
        do {
            try mark { digest in _ = index.touch(digest) }
        } catch {
            index.endMarks()
            throw error
        }
        var dead = DeadRecords(settled: settled)
        index.sweep(dropped: { dead.drop($0) }, kept: { dead.keep($0) })
        return try free(dead)
    }

    private func free(_ dead: DeadRecords) throws(StorageError) -> UInt64 {
        let extents = withAppender { $0.extents }
        let before = extents.values.reduce(0) { $0 + $1.occupied }
        let empty = dead.settled.filter { dead.live[$0] == nil }
        let gappy = dead.settled.filter { number in
            guard let live = dead.live[number], let extent = extents[number] else { return false }
            return dead.touched.contains(number) || extent.occupied > live.bytes + live.bytes / 8 + DeadRecords.slack
        }
        guard dead.chunks > 0 || !empty.isEmpty || !gappy.isEmpty else { return 0 }
        // First the burial, then the digging: a slot that came back after a power loss must find its record.
        try index.sync()
        for number in empty { try removeSegment(number) }
        for group in dead.groups(of: gappy) { try punchGaps(of: group, extents) }
        try punch(dead.inActive)
        // Others insert meanwhile: what they added is not to be taken for something that was not freed.
        let after = withAppender { appender in
            extents.keys.reduce(0) { $0 + min(appender.extents[$1]?.occupied ?? 0, extents[$1]?.occupied ?? 0) }
        }
        let freed = before - min(before, after)
        metrics.swept(chunks: dead.chunks, bytes: freed, occupied: occupancy.stored)
        return freed
    }

    private func removeSegment(_ number: UInt32) throws(StorageError) {
        try folder.remove(Segment.name(number))
        segments.remove(number)
        withAppender { $0.remove(number) }
    }

    /// Punches all that is between the live records of settled segments: neighbours that died in different sweeps too,
    /// and what torn writes and duplicates left.
    private func punchGaps(of group: Set<UInt32>, _ extents: [UInt32: Appender.Extent]) throws(StorageError) {
        var live: [UInt32: [Range<UInt64>]] = [:]
        index.forEach { slot in
            if group.contains(slot.segment) { live[slot.segment, default: []].append(slot.range) }
        }
        for number in group.sorted() {
            guard let segment = segments[number], let extent = extents[number] else { continue }
            var occupied = extent.end
            var at = UInt64(Segment.headerByteCount)
            let ranges = (live[number] ?? []).sorted { $0.lowerBound < $1.lowerBound }
            for range in ranges + [extent.end..<extent.end] {
                if range.lowerBound > at {
                    let blocks = DeadRecords.wholeBlocks(at..<range.lowerBound)
                    if !blocks.isEmpty, try segment.file.punch(blocks) { occupied -= UInt64(blocks.count) }
                }
                at = max(at, range.upperBound)
            }
            withAppender { $0.setOccupied(number, min(occupied, extent.occupied)) }
        }
    }

    /// Punches records out of a segment that is still written to: exactly them, since what is beside them may be new.
    private func punch(_ records: [UInt32: [Range<UInt64>]]) throws(StorageError) {
        for (number, ranges) in records {
            guard let segment = segments[number] else { continue }
            for range in DeadRecords.joined(ranges) {
                guard try segment.file.punch(range) else { continue }
                let blocks = UInt64(DeadRecords.wholeBlocks(range).count)
                withAppender { appender in
                    guard let extent = appender.extents[number] else { return }
                    appender.setOccupied(number, extent.occupied - min(blocks, extent.occupied))
                }
            }
        }
    }
}
