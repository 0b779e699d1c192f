// SPDX-License-Identifier: Apache-2.0

// Signatures of PKWARE's APPNOTE 6.3.9, as little-endian words.
let zipLocalHeader: UInt32 = 0x0403_4b50
let zipEnd: UInt32 = 0x0605_4b50
private let zipDirectoryHeader: UInt32 = 0x0201_4b50
private let zip64End: UInt32 = 0x0606_4b50
private let zip64Locator: UInt32 = 0x0706_4b50
private let zipEndByteCount = 22
private let zip64LocatorByteCount = 20
private let zip64EndByteCount = 56

extension StreamEnd {
    /// Looks for an end-of-directory record in the last 64 KiB whose directory lies where it says.
    static func checkZip<E: Error>(
        size: UInt64, read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> StreamEnd {
        // The record, and before it the locator of zip64; after it a comment of at most 65,535 bytes.
        let most = UInt64(zip64LocatorByteCount + zipEndByteCount + 0xffff)
        let tail = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(min(size, most)), alignment: 8)
        defer { tail.deallocate() }
        let start = size - UInt64(tail.count)
        guard try fill(tail, at: start, of: size, read) == tail.count, tail.count >= zipEndByteCount else {
            return .torn("the zip has no central directory")
        }
        let bytes = UnsafeRawBufferPointer(tail)
        var at = bytes.count - zipEndByteCount
        while at >= 0 {
            if bytes.little32(at) == zipEnd,
                at + zipEndByteCount + Int(bytes.little16(at + 20)) <= bytes.count,
                try isDirectory(of: bytes, end: at, start: start, size: size, read: read)
            {
                return .whole
            }
            at -= 1
        }
        return .torn("the zip has no end of its central directory in its last \(tail.count) bytes")
    }

    /// Whether the record at `end` names a directory that is there.
    private static func isDirectory<E: Error>(
        of tail: UnsafeRawBufferPointer, end: Int, start: UInt64, size: UInt64,
        read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> Bool {
        var entries = UInt64(tail.little16(end + 10))
        var length = UInt64(tail.little32(end + 12))
        var offset = UInt64(tail.little32(end + 16))
        var limit = start + UInt64(end)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: zip64EndByteCount, alignment: 8)
        defer { buffer.deallocate() }
        let locator = end - zip64LocatorByteCount
        if entries == 0xffff || length == 0xffff_ffff || offset == 0xffff_ffff, locator >= 0,
            tail.little32(locator) == zip64Locator
        {
            let place = tail.little64(locator + 8)
            let record = UnsafeRawBufferPointer(buffer)
            guard place < limit, try fill(buffer, at: place, of: size, read) == buffer.count,
                record.little32(0) == zip64End
            else { return false }
            entries = record.little64(32)
            length = record.little64(40)
            offset = record.little64(48)
            limit = place
        }
        guard offset <= limit, length <= limit - offset else { return false }
        guard entries > 0 else { return true }
        let header = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<4])
        return try fill(header, at: offset, of: size, read) == 4
            && UnsafeRawBufferPointer(header).little32(0) == zipDirectoryHeader
    }
}
