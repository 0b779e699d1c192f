// SPDX-License-Identifier: Apache-2.0

// RFC 8878, section 3.1.
let zstdMagic: UInt32 = 0xfd2f_b528
let zstdSkippable: UInt32 = 0x184d_2a50
let zstdSkippableMask: UInt32 = 0xffff_fff0

extension StreamEnd {
    /// Magic number and the longest frame header.
    private static let zstdHeadByteCount = 18

    /// Walks frames and the headers of their blocks, decompressing nothing.
    static func checkZstd<E: Error>(
        size: UInt64, read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> StreamEnd {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: zstdHeadByteCount, alignment: 8)
        defer { buffer.deallocate() }
        let bytes = UnsafeRawBufferPointer(buffer)
        let torn = StreamEnd.torn("the zstd stream ends at byte \(size), within a frame")
        var at: UInt64 = 0
        while at < size {
            let count = try fill(buffer, at: at, of: size, read)
            guard count >= 5 else { return torn }
            let magic = bytes.little32(0)
            if magic & zstdSkippableMask == zstdSkippable {
                guard count >= 8 else { return torn }
                at += 8 + UInt64(bytes.little32(4))
                guard at <= size else { return torn }
                continue
            }
            guard magic == zstdMagic else { return .unknown }
            let descriptor = bytes[4]
            at += 5 + zstdFieldByteCount(descriptor)
            guard at < size else { return torn }
            switch try skipZstdBlocks(from: &at, size: size, buffer: buffer, read: read) {
            case .whole: break
            case .torn: return torn
            case .unknown: return .unknown
            }
            if descriptor & 4 != 0 { at += 4 }
            guard at <= size else { return torn }
        }
        return .whole
    }

    /// Bytes of the frame header after its descriptor: window, dictionary id, content size.
    private static func zstdFieldByteCount(_ descriptor: UInt8) -> UInt64 {
        let isSingle = descriptor & 0x20 != 0
        let dictionary: [UInt64] = [0, 1, 2, 4]
        let content: [UInt64] = [isSingle ? 1 : 0, 2, 4, 8]
        return (isSingle ? 0 : 1) + dictionary[Int(descriptor & 3)] + content[Int(descriptor >> 6)]
    }

    private static func skipZstdBlocks<E: Error>(
        from at: inout UInt64, size: UInt64, buffer: UnsafeMutableRawBufferPointer,
        read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> StreamEnd {
        let head = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<3])
        while true {
            guard try fill(head, at: at, of: size, read) == 3 else { return .torn("") }
            let word = UInt32(head[0]) | UInt32(head[1]) << 8 | UInt32(head[2]) << 16
            at += 3
            switch word >> 1 & 3 {
            case 0, 2: at += UInt64(word >> 3)
            case 1: at += 1
            default: return .unknown
            }
            guard at <= size else { return .torn("") }
            if word & 1 != 0 { return .whole }
        }
    }
}
