// SPDX-License-Identifier: Apache-2.0

import CXXHash
import Chunking
import Content

/// The head of a record in a segment; the chunk's bytes in its codec follow, and the next record at a multiple of 8.
///
/// Format, little-endian: `u64` checksum, `u32` magic, `u8` kind, `u8` codec, two bytes 0, `u32` raw length, `u32`
/// stored length, 32-byte digest. The checksum is XXH3-64 of the 48 bytes after it and of the payload's own XXH3-64,
/// seeded with the store's secret number: a cached file that holds what looks like a record never becomes one.
struct RecordHeader {
    static let byteCount = 56
    static let magic: UInt32 = 0x3143_524c  // "LRC1"
    /// The lengths have 28 bits in a slot of the index: above the 64 MiB of the longest manifest.
    static let lengthMax = 1 << 28 - 1

    let kind: ChunkKind
    let codec: Codec
    let rawLength: Int
    let storedLength: Int
    let digest: Digest

    /// Bytes of the whole record up to the next one.
    var recordByteCount: UInt64 { RecordHeader.recordByteCount(stored: storedLength) }

    static func recordByteCount(stored: Int) -> UInt64 { (UInt64(byteCount) + UInt64(stored) + 7) & ~7 }

    init(kind: ChunkKind, codec: Codec, rawLength: Int, storedLength: Int, digest: Digest) {
        self.kind = kind
        self.codec = codec
        self.rawLength = rawLength
        self.storedLength = storedLength
        self.digest = digest
    }

    /// A header from its bytes, or nil where they are none. The checksum is not looked at.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= RecordHeader.byteCount,
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) == RecordHeader.magic,
            let kind = ChunkKind(rawValue: bytes[12]), let codec = Codec(rawValue: bytes[13])
        else { return nil }
        let raw = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
        let stored = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 20, as: UInt32.self)))
        guard raw > 0, stored > 0, raw <= RecordHeader.lengthMax, stored <= RecordHeader.lengthMax,
            codec != .plain || raw == stored
        else { return nil }
        let digest = Digest(UnsafeRawBufferPointer(rebasing: bytes[24..<56]))
        self.init(kind: kind, codec: codec, rawLength: raw, storedLength: stored, digest: digest)
    }

    /// Writes the header of `payload` to the first ``byteCount`` bytes of `out`.
    func write(to out: UnsafeMutableRawBufferPointer, payload: UnsafeRawBufferPointer, secret: UInt64) {
        out.storeBytes(of: RecordHeader.magic.littleEndian, toByteOffset: 8, as: UInt32.self)
        out.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
        out[12] = kind.rawValue
        out[13] = codec.rawValue
        out.storeBytes(of: UInt32(rawLength).littleEndian, toByteOffset: 16, as: UInt32.self)
        out.storeBytes(of: UInt32(storedLength).littleEndian, toByteOffset: 20, as: UInt32.self)
        digest.withBytes { UnsafeMutableRawBufferPointer(rebasing: out[24..<56]).copyMemory(from: $0) }
        let sum = RecordHeader.checksum(UnsafeRawBufferPointer(out), payload, secret)
        out.storeBytes(of: sum.littleEndian, toByteOffset: 0, as: UInt64.self)
    }

    /// Whether the checksum that the header's bytes carry is the one of these bytes and the payload.
    static func isIntact(_ head: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, _ secret: UInt64) -> Bool {
        UInt64(littleEndian: head.loadUnaligned(as: UInt64.self)) == checksum(head, payload, secret)
    }

    private static func checksum(
        _ head: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, _ secret: UInt64
    ) -> UInt64 {
        let inner = larder_xxh3_64(payload.baseAddress, payload.count).littleEndian
        return withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 8) { scratch in
            scratch.copyMemory(from: UnsafeRawBufferPointer(rebasing: head[8..<byteCount]))
            scratch.storeBytes(of: inner, toByteOffset: byteCount - 8, as: UInt64.self)
            return larder_xxh3_64_seeded(scratch.baseAddress, byteCount, secret)
        }
    }
}
