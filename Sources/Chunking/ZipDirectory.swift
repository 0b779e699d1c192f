// SPDX-License-Identifier: Apache-2.0

// Signatures of PKWARE's APPNOTE 6.3.9, as little-endian words.
let zipLocalHeader: UInt32 = 0x0403_4b50
let zipDirectoryHeader: UInt32 = 0x0201_4b50
let zipDescriptor: UInt32 = 0x0807_4b50
let zipEnd: UInt32 = 0x0605_4b50
private let zip64End: UInt32 = 0x0606_4b50
private let zip64Locator: UInt32 = 0x0706_4b50
private let zipEndByteCount = 22
private let zip64LocatorByteCount = 20
private let zip64EndByteCount = 56

/// Where a zip's central directory is.
struct ZipDirectory {
    let offset: UInt64
    let length: UInt64

    /// The record that names the directory, before it the locator of zip64, after it a comment of at most 65,535 bytes.
    static let tailMax = UInt64(zip64LocatorByteCount + zipEndByteCount + 0xffff)

    /// Looks for an end-of-directory record in the last 64 KiB whose directory lies where it says.
    static func find<E: Error>(
        size: UInt64, read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> ZipDirectory? {
        let tail = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(min(size, tailMax)), alignment: 8)
        defer { tail.deallocate() }
        let start = size - UInt64(tail.count)
        guard try StreamEnd.fill(tail, at: start, of: size, read) == tail.count, tail.count >= zipEndByteCount else {
            return nil
        }
        let bytes = UnsafeRawBufferPointer(tail)
        var at = bytes.count - zipEndByteCount
        while at >= 0 {
            if bytes.little32(at) == zipEnd,
                at + zipEndByteCount + Int(bytes.little16(at + 20)) <= bytes.count,
                let directory = try directory(of: bytes, end: at, start: start, size: size, read: read)
            {
                return directory
            }
            at -= 1
        }
        return nil
    }

    /// The directory that the record at `end` names, or nil where it is not there.
    private static func directory<E: Error>(
        of tail: UnsafeRawBufferPointer, end: Int, start: UInt64, size: UInt64,
        read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> ZipDirectory? {
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
            guard place < limit, try StreamEnd.fill(buffer, at: place, of: size, read) == buffer.count,
                record.little32(0) == zip64End
            else { return nil }
            entries = record.little64(32)
            length = record.little64(40)
            offset = record.little64(48)
            limit = place
        }
        guard offset <= limit, length <= limit - offset else { return nil }
        let found = ZipDirectory(offset: offset, length: length)
        guard entries > 0 else { return found }
        let header = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<4])
        guard try StreamEnd.fill(header, at: offset, of: size, read) == 4,
            UnsafeRawBufferPointer(header).little32(0) == zipDirectoryHeader
        else { return nil }
        return found
    }
}
