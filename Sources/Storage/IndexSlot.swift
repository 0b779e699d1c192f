// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content

/// One slot of the index, 32 bytes as they lie in the mapped file: 16 of the digest, a place, two lengths.
///
/// `place`: bits 0-31 offset in units of 8 bytes, 32-55 segment, 56-57 kind, 58-59 codec, 60 tombstone, 61 used.
/// `lengths`: bits 0-27 raw, 28-55 stored. A slot never moves within its file and is changed by single words, so that
/// whatever part of a page a power loss leaves, every slot on it is an old or a new one.
struct IndexSlot {
    static let tombstone: UInt64 = 1 << 60
    static let used: UInt64 = 1 << 61
    static let segmentMax: UInt32 = 1 << 24 - 1

    var prefix: UInt64
    var suffix: UInt64
    var lengths: UInt64
    var place: UInt64

    init(_ header: RecordHeader, at place: Place) {
        prefix = header.digest.prefix
        suffix = header.digest.suffix
        lengths = UInt64(header.rawLength) | UInt64(header.storedLength) << 28
        self.place =
            place.offset / 8 | UInt64(place.segment) << 32 | UInt64(header.kind.rawValue) << 56
            | UInt64(header.codec.rawValue) << 58 | IndexSlot.used
    }

    var isUsed: Bool { place & IndexSlot.used != 0 }
    var offset: UInt64 { (place & 0xffff_ffff) * 8 }
    var segment: UInt32 { UInt32(place >> 32 & 0xff_ffff) }
    var kind: ChunkKind? { ChunkKind(rawValue: UInt8(place >> 56 & 3)) }
    var codec: Codec? { Codec(rawValue: UInt8(place >> 58 & 3)) }
    var rawLength: Int { Int(lengths & 0xfff_ffff) }
    var storedLength: Int { Int(lengths >> 28 & 0xfff_ffff) }
    var recordByteCount: UInt64 { RecordHeader.recordByteCount(stored: storedLength) }
    var range: Range<UInt64> { offset..<(offset + recordByteCount) }

    /// Whether a record's header is the one that this slot points to, as far as a slot can tell.
    func isOf(_ header: RecordHeader) -> Bool {
        prefix == header.digest.prefix && suffix == header.digest.suffix && rawLength == header.rawLength
            && storedLength == header.storedLength && kind == header.kind && codec == header.codec
    }
}
