// SPDX-License-Identifier: Apache-2.0

/// Where a record lies.
struct Place: Hashable, Sendable {
    let segment: UInt32
    let offset: UInt64
}

/// Hands out places for records, and knows of each segment how far it is filled, complete, durable and occupied.
/// A value: the shell around it opens files and writes.
struct Appender: Sendable {
    struct Extent: Sendable {
        /// The offset after the last reserved record.
        var end: UInt64
        /// Bytes that the segment takes of the disk: `end` less the blocks punched out.
        var occupied: UInt64
        /// The offset below which records survive a power loss.
        var synced: UInt64
        /// The watermark: the offset below which their slots do too.
        var durable: UInt64
    }

    enum Answer {
        case place(Place)
        /// The active segment is full: make this one and ``install(_:)`` it, then ask again.
        case needsSegment(UInt32)
    }

    let segmentByteCount: UInt64
    private(set) var extents: [UInt32: Extent] = [:]
    private(set) var active: UInt32?
    private var next: UInt32 = 0
    /// Records being written: as many as there are threads that write.
    private var writes: [Place] = []

    init(segmentByteCount: UInt64) { self.segmentByteCount = segmentByteCount }

    /// Bytes that all segments take of the disk. Kept beside ``extents``, whose sum it is, for every insert asks.
    private(set) var occupied: UInt64 = 0
    /// Bytes that a power loss would make open check.
    var aboveWatermarks: UInt64 { extents.values.reduce(0) { $0 + ($1.end - min($1.end, $1.durable)) } }

    /// Adds a segment found at open; the last one with room becomes the active one.
    mutating func add(_ number: UInt32, _ extent: Extent) {
        extents[number] = extent
        occupied += extent.occupied
        if number >= next {
            next = number + 1
            active = extent.end < segmentByteCount ? number : nil
        }
    }

    /// Numbers up to this one were used before, though their files are gone.
    mutating func skip(to number: UInt32) { next = max(next, number + 1) }

    /// Takes `byteCount` bytes of the active segment; end it with ``finish(_:)`` or ``abandon(_:byteCount:)``.
    mutating func reserve(_ byteCount: UInt64) -> Answer {
        if let active, var extent = extents[active] {
            let isFresh = extent.end == UInt64(Segment.headerByteCount)
            if isFresh || extent.end + byteCount <= segmentByteCount {
                let place = Place(segment: active, offset: extent.end)
                extent.end += byteCount
                extent.occupied += byteCount
                occupied += byteCount
                extents[active] = extent
                writes.append(place)
                return .place(place)
            }
        }
        defer { next += 1 }
        return .needsSegment(next)
    }

    /// Makes a new segment the active one.
    ///
    /// - Returns: false where another thread did so meanwhile and there is room for `byteCount`: the new one is not
    ///   needed.
    mutating func install(_ number: UInt32, for byteCount: UInt64) -> Bool {
        if let active, let extent = extents[active], extent.end + byteCount <= segmentByteCount { return false }
        let header = UInt64(Segment.headerByteCount)
        extents[number] = Extent(end: header, occupied: header, synced: 0, durable: 0)
        occupied += header
        active = number
        return true
    }

    /// The record is written and its slot is published.
    mutating func finish(_ place: Place) { writes.removeAll { $0 == place } }

    /// The record could not be written, or is not needed: its room is given back where nobody took the room after it,
    /// and else is dead until a sweep punches it out.
    mutating func abandon(_ place: Place, byteCount: UInt64) {
        finish(place)
        guard let extent = extents[place.segment], extent.end == place.offset + byteCount else { return }
        extents[place.segment]?.end = place.offset
        extents[place.segment]?.synced = min(extent.synced, place.offset)
        extents[place.segment]?.durable = min(extent.durable, place.offset)
        setOccupied(place.segment, extent.occupied - min(extent.occupied, byteCount))
    }

    /// The offset below which every record of a segment is written and published.
    private func complete(_ number: UInt32, _ extent: Extent) -> UInt64 {
        writes.reduce(extent.end) { $1.segment == number ? min($0, $1.offset) : $0 }
    }

    /// What a sync has to bring to the disk: up to where, by segment.
    var unsynced: [UInt32: UInt64] {
        var out: [UInt32: UInt64] = [:]
        for (number, extent) in extents {
            // Also where a write under way holds the end back: records behind it are finished and vouched for.
            if extent.end > extent.synced { out[number] = max(complete(number, extent), extent.synced) }
        }
        return out
    }

    /// Takes note of a sync of segments.
    mutating func setSynced(_ ends: [UInt32: UInt64]) {
        for (number, end) in ends {
            guard let before = extents[number]?.synced else { continue }
            extents[number]?.synced = max(end, before)
        }
    }

    /// Up to where segments are synced.
    var synced: [UInt32: UInt64] { extents.mapValues(\.synced) }

    /// Takes note of a sync of the index, begun when segments were synced up to `marks`.
    ///
    /// - Returns: the watermark of every segment.
    mutating func setDurable(_ marks: [UInt32: UInt64]) -> [UInt32: UInt64] {
        for (number, end) in marks {
            guard let before = extents[number]?.durable else { continue }
            extents[number]?.durable = max(end, before)
        }
        return extents.mapValues(\.durable)
    }

    /// Segments to which nothing is written any more.
    var settled: Set<UInt32> {
        var out = Set(extents.keys)
        if let active { out.remove(active) }
        for write in writes { out.remove(write.segment) }
        return out
    }

    mutating func setOccupied(_ number: UInt32, _ bytes: UInt64) {
        guard let before = extents[number]?.occupied else { return }
        occupied = occupied - before + bytes
        extents[number]?.occupied = bytes
    }

    mutating func remove(_ number: UInt32) {
        setOccupied(number, 0)
        extents[number] = nil
    }
}
