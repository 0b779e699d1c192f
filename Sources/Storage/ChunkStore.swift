// SPDX-License-Identifier: Apache-2.0

// The store's chunks: append-only segments of self-describing records, and an index of mapped tables over them.
//
// - A place in the index is a hint: every read checks digest, lengths and checksum at the record.
// - A record is written first and its slot published after it, so a dead process leaves no slot without a record.
// - A power loss may keep a slot and lose its record. Below a segment's watermark neither can be missing; above it,
//   open checks every record and drops the slots that have none.
// - What a sweep drops is buried in the index, the index brought to the disk, and only then punched out of the
//   segments: a slot that a power loss brings back still finds its record.
// - No lock is held over I/O. Locks: one for each of 64 tables, one for the segments by number, one for the appender.

public import Content
import Logging
import NIOConcurrencyHelpers
import Synchronization

/// Chunks on one disk: find, read, check, insert, sweep. Every method may be called from any thread.
public final class ChunkStore: Sendable {
    let index: Index
    let segments: SegmentTable
    let appender: NIOLockedValueBox<Appender>
    let folder: Folder
    let catalog: Catalog
    let occupancy: Occupancy
    let secret: UInt64
    let metrics = StoreMetrics()
    let logger: Logger
    let corruptCount = Atomic<UInt64>(0)
    let isSweeping = Atomic<Bool>(false)

    init(
        index: Index, segments: SegmentTable, appender: Appender, folder: Folder, catalog: Catalog,
        occupancy: Occupancy, secret: UInt64, logger: Logger
    ) {
        self.index = index
        self.segments = segments
        self.appender = NIOLockedValueBox(appender)
        self.folder = folder
        self.catalog = catalog
        self.occupancy = occupancy
        self.secret = secret
        self.logger = logger
        occupancy.setStored(appender.occupied)
    }

    /// Whether the chunk is here. It is also kept from a sweep that is under way.
    ///
    /// A sweep that begins after this returned may drop the chunk, unless its mark names it: name a digest as
    /// referenced first, and ask then.
    public func contains(_ digest: Digest) -> Bool { index.touch(digest) != nil }

    /// Bytes of the chunk, decoded; nil where it is not here.
    public func length(of digest: Digest) -> Int? { index.find(digest)?.rawLength }

    /// What the chunk's bytes are; nil where it is not here.
    public func kind(of digest: Digest) -> ChunkKind? { index.find(digest)?.kind }

    /// Takes a chunk out of the index, because its bytes turned out to be wrong to who knows better.
    ///
    /// - Returns: false where it was not here.
    @discardableResult
    public func drop(_ digest: Digest) -> Bool {
        guard let slot = index.find(digest), index.remove(digest, at: slot.place) else { return false }
        noteCorrupt(digest, slot)
        return true
    }

    /// What the store holds now.
    public var statistics: StoreStatistics {
        let (occupied, unchecked, segmentCount) = appender.withLockedValue {
            ($0.occupied, $0.aboveWatermarks, $0.extents.count)
        }
        return StoreStatistics(
            chunks: index.count,
            storedBytes: occupied,
            aboveWatermarks: unchecked,
            segments: segmentCount,
            corrupt: corruptCount.load(ordering: .relaxed)
        )
    }

    func noteCorrupt(_ digest: Digest?, _ slot: IndexSlot) {
        corruptCount.wrappingAdd(1, ordering: .relaxed)
        metrics.foundCorrupt()
        logger.error(
            "corrupt record dropped",
            metadata: [
                "chunk": "\(digest.map(\.description) ?? "unknown")",
                "segment": "\(Segment.name(slot.segment))",
                "offset": "\(slot.offset)",
            ]
        )
    }

    /// Changes what is known of the segments, and tells the ledger what they take.
    func withAppender<R>(_ body: (inout Appender) -> R) -> R {
        let result = appender.withLockedValue { appender -> R in
            let result = body(&appender)
            // Under the lock, so that two changes are told in the order in which they were made.
            occupancy.setStored(appender.occupied)
            return result
        }
        return result
    }
}

/// A look at a store.
public struct StoreStatistics: Sendable {
    /// Chunks that can be found.
    public let chunks: Int
    /// Bytes that segments take of the disk: live records with their heads, and dead ones that are not punched out yet.
    public let storedBytes: UInt64
    /// Bytes that the next open would have to check after a power loss; ``ChunkStore/sync()`` keeps them in bounds.
    public let aboveWatermarks: UInt64
    public let segments: Int
    /// Records found corrupt, and dropped, since the store was opened.
    public let corrupt: UInt64
}
