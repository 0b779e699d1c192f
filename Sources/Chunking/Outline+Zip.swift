// SPDX-License-Identifier: Apache-2.0

extension Outline {
    /// The most bytes of a central directory: that of ``memberCountMax`` members with paths of 80 bytes.
    private static let directoryByteCountMax: UInt64 = 32 << 20

    /// The members of a zip, from its central directory; none where it has none. A member goes on to where the next one
    /// begins, since a local header's length is not in the directory.
    static func zipMembers<E: Error>(
        size: UInt64, read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> [Member] {
        guard let place = try ZipDirectory.find(size: size, read: read), place.length <= directoryByteCountMax else {
            return []
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, Int(place.length)), alignment: 8)
        defer { buffer.deallocate() }
        let count = try StreamEnd.fill(buffer, at: place.offset, of: size, read)
        let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<min(count, Int(place.length))])
        var entries: [(hash: UInt64, header: UInt64, nameByteCount: Int)] = []
        var at = 0
        while at + 46 <= bytes.count, bytes.little32(at) == zipDirectoryHeader, entries.count < memberCountMax {
            let name = Int(bytes.little16(at + 28))
            let extra = Int(bytes.little16(at + 30))
            let next = at + 46 + name + extra + Int(bytes.little16(at + 32))
            guard next <= bytes.count else { break }
            let path = bytes[(at + 46)..<(at + 46 + name)]
            var header = UInt64(bytes.little32(at + 42))
            if header == 0xffff_ffff {
                let fields = UnsafeRawBufferPointer(rebasing: bytes[(at + 46 + name)..<(at + 46 + name + extra)])
                header = zip64Offset(bytes, at, fields) ?? size
            }
            if header < place.offset { entries.append((pathHash(path), header, name)) }
            at = next
        }
        entries.sort { $0.header < $1.header }
        return entries.indices.map { i in
            let end = i + 1 < entries.count ? entries[i + 1].header : place.offset
            let body = min(end, entries[i].header + 30 + UInt64(entries[i].nameByteCount))
            return Member(pathHash: entries[i].hash, header: entries[i].header, body: body, end: end)
        }
    }

    /// The header's offset in the zip64 field: the last of those numbers that the record has no room for.
    private static func zip64Offset(
        _ bytes: UnsafeRawBufferPointer, _ record: Int, _ fields: UnsafeRawBufferPointer
    ) -> UInt64? {
        var at = 0
        while at + 4 <= fields.count {
            let length = Int(fields.little16(at + 2))
            guard at + 4 + length <= fields.count else { return nil }
            if fields.little16(at) == 1 {
                let before = [24, 20].filter { bytes.little32(record + $0) == 0xffff_ffff }.count * 8
                return before + 8 <= length ? fields.little64(at + 4 + before) : nil
            }
            at += 4 + length
        }
        return nil
    }
}
