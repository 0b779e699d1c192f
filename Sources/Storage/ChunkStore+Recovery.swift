// SPDX-License-Identifier: Apache-2.0

import Content
import Glibc
import Logging

extension ChunkStore {
    /// How the store was left.
    enum LastEnd: Sendable {
        /// Closed: everything is on the disk.
        case closed
        /// The process died and the machine went on: what was written is in the page cache.
        case killed
        /// The machine may have gone down.
        case unknown
    }

    /// Opens segments and index, and makes them agree.
    ///
    /// Below the watermarks nothing is looked at. Above them the records are walked by their heads; they are checked
    /// in full where the machine may have gone down, or where the index does not know them.
    static func open(
        _ configuration: StoreConfiguration, catalog: Catalog, occupancy: Occupancy, lastEnd: LastEnd,
        secret: UInt64?, logger: Logger
    ) throws(StorageError) -> ChunkStore {
        let directory = configuration.directory
        let folder = try Folder(making: directory + "/segments", faults: configuration.faults)
        let watermarks = try catalog.watermarks()
        var appender = Appender(segmentByteCount: configuration.segmentByteCount)
        let table = SegmentTable()
        var found: [Segment] = []
        for number in try folder.names().compactMap(Segment.number(of:)).sorted() {
            let segment = try Segment.open(number, in: folder)
            table.add(segment)
            found.append(segment)
        }
        var known = secret
        if known == nil { known = try rememberedSecret(found) }
        let secret = known ?? UInt64.random(in: .min ... .max)
        let (index, lost) = try Index.open(in: try Folder(making: directory + "/index", faults: configuration.faults))
        var recovery = Recovery(index: index, secret: secret, lastEnd: lastEnd, isIndexLost: lost > 0)
        for segment in found {
            let extent = try recovery.recover(segment, watermark: watermarks[segment.number] ?? 0)
            appender.add(segment.number, extent)
        }
        if let used = watermarks.keys.max() { appender.skip(to: used) }
        recovery.repairIndex(appender)
        if recovery.scannedBytes > 0 || lost > 0 || recovery.removed > 0 {
            logger.notice(
                "store recovered",
                metadata: [
                    "scannedBytes": "\(recovery.scannedBytes)", "records": "\(recovery.inserted)",
                    "staleSlots": "\(recovery.removed)", "lostTables": "\(lost)",
                    "cutBytes": "\(recovery.cutBytes)",
                ]
            )
        }
        return ChunkStore(
            index: index, segments: table, appender: appender, folder: folder, catalog: catalog,
            occupancy: occupancy, secret: secret, logger: logger
        )
    }

    private static func rememberedSecret(_ segments: [Segment]) throws(StorageError) -> UInt64? {
        for segment in segments {
            if let secret = try segment.secret() { return secret }
        }
        return nil
    }
}

/// The state of one recovery.
private struct Recovery {
    let index: Index
    let secret: UInt64
    let lastEnd: ChunkStore.LastEnd
    let isIndexLost: Bool
    /// Offsets of the records above the watermark, by segment: what a slot up there may point to.
    private var confirmed: [UInt32: (from: UInt64, offsets: Set<UInt64>)] = [:]
    private var isSuspect = false
    private(set) var scannedBytes: UInt64 = 0
    private(set) var cutBytes: UInt64 = 0
    private(set) var inserted = 0
    private(set) var removed = 0

    init(index: Index, secret: UInt64, lastEnd: ChunkStore.LastEnd, isIndexLost: Bool) {
        self.index = index
        self.secret = secret
        self.lastEnd = lastEnd
        self.isIndexLost = isIndexLost
    }

    /// Finds the records that the index may not know, and cuts a torn tail off.
    mutating func recover(_ segment: Segment, watermark: UInt64) throws(StorageError) -> Appender.Extent {
        let (size, occupied) = try segment.file.status()
        let first = UInt64(Segment.headerByteCount)
        // The last record ends where its bytes do, and its place at the next multiple of 8.
        var end = max((size + 7) & ~7, first)
        let durable = min(max(watermark, first), end)
        if watermark > end { isSuspect = true }
        if isIndexLost || end > durable {
            end = try scan(segment, from: isIndexLost ? first : durable, durable: durable, size: size)
            if end < size {
                cutBytes += size - end
                try segment.file.truncate(to: end)
            }
        }
        return Appender.Extent(
            end: end, occupied: min(end, occupied), synced: min(durable, end), durable: min(durable, end)
        )
    }

    private mutating func scan(
        _ segment: Segment, from start: UInt64, durable: UInt64, size: UInt64
    ) throws(StorageError) -> UInt64 {
        let number = segment.number
        var offsets = Set<UInt64>()
        var count = 0
        let (index, lastEnd) = (index, lastEnd)
        let end = try SegmentScanner(segment: segment, secret: secret).scan(from: start, to: size) { header, offset in
            // The page cache outlived the process, and a slot is published after its record is written.
            guard lastEnd != .unknown, let slot = index.find(header.digest) else { return false }
            return slot.segment == number && slot.offset == offset && slot.isOf(header)
        } found: { (header, offset) throws(StorageError) in
            if offset >= durable { offsets.insert(offset) }
            if try index.set(header, at: Place(segment: number, offset: offset)) { count += 1 }
        }
        inserted += count
        scannedBytes += size - min(size, start)
        confirmed[number] = (durable, offsets)
        return end
    }

    /// Drops slots that point to nothing, and counts the others.
    mutating func repairIndex(_ appender: Appender) {
        guard lastEnd != .closed || isIndexLost || isSuspect || !confirmed.isEmpty else { return }
        let confirmed = confirmed
        let extents = appender.extents
        removed = index.repair { slot in
            guard let extent = extents[slot.segment], slot.offset + slot.recordByteCount <= extent.end else {
                return false
            }
            guard let above = confirmed[slot.segment], slot.offset >= above.from else { return true }
            return above.offsets.contains(slot.offset)
        }
    }
}
