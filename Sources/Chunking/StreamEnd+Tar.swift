// SPDX-License-Identifier: Apache-2.0

/// The unit of a tar: headers are one block, bodies are padded to whole ones, and a block of zeros is the end.
let tarBlock = 512

/// What we need of a member's header (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar
/// Format").
struct TarHeader {
    /// Bytes of the body, not padded.
    let size: UInt64
    let type: UInt8
    /// An old GNU sparse member whose map goes on in blocks of its own.
    let isExtended: Bool

    /// A header from a block, or nil where the block's checksum is wrong or a number cannot be read.
    init?(_ block: UnsafeRawBufferPointer) {
        var sum: UInt64 = 0
        for (at, byte) in block.enumerated() { sum += (148..<156).contains(at) ? 32 : UInt64(byte) }
        guard block[0] != 0, TarHeader.number(block[148..<156]) == sum else { return nil }
        guard let size = TarHeader.number(block[124..<136]) else { return nil }
        self.size = size
        self.type = block[156]
        self.isExtended = type == UInt8(ascii: "S") && block[482] != 0
    }

    /// Links, devices, directories and pipes have no body, whatever their size field says.
    var bodySize: UInt64 { (UInt8(ascii: "1")...UInt8(ascii: "6")).contains(type) ? 0 : size }

    /// An octal number, or GNU's base-256 for those that eleven digits cannot hold.
    private static func number(_ field: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        guard let first = field.first else { return nil }
        var value: UInt64 = 0
        if first & 0x80 != 0 {
            guard first == 0x80 else { return nil }
            for byte in field.dropFirst() {
                guard value < 1 << 55 else { return nil }
                value = value << 8 | UInt64(byte)
            }
            return value
        }
        for byte in field.drop(while: { $0 == UInt8(ascii: " ") }) {
            if byte == 0 || byte == UInt8(ascii: " ") { break }
            guard (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(byte) else { return nil }
            value = value << 3 | UInt64(byte - UInt8(ascii: "0"))
        }
        return value
    }
}

extension StreamEnd {
    /// A pax header is a few records; a longer one is not looked at for the size it may hold.
    private static let paxByteCountMax: UInt64 = 1 << 20

    /// Walks the members' headers: whole where a block of zeros stands where a header is due.
    static func checkTar<E: Error>(
        size: UInt64, read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> StreamEnd {
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: tarBlock, alignment: 8)
        defer { block.deallocate() }
        var at: UInt64 = 0
        var paxSize: UInt64?
        while true {
            guard try fill(block, at: at, of: size, read) == tarBlock else {
                return .torn("the tar ends at byte \(size), where a header or the end mark is due")
            }
            if block.allSatisfy({ $0 == 0 }) { return .whole }
            guard let header = TarHeader(UnsafeRawBufferPointer(block)) else { return .unknown }
            at += UInt64(tarBlock)
            if header.isExtended {
                repeat {
                    guard try fill(block, at: at, of: size, read) == tarBlock else {
                        return .torn("the tar ends at byte \(size), within the map of a sparse member")
                    }
                    at += UInt64(tarBlock)
                } while block[504] != 0
            }
            let body: UInt64
            if header.type == UInt8(ascii: "x") {
                body = header.size
                paxSize = try paxRecordSize(at: at, count: body, of: size, read: read)
            } else if header.type == UInt8(ascii: "L") || header.type == UInt8(ascii: "K") {
                body = header.size
            } else {
                body = header.bodySize == 0 ? 0 : paxSize ?? header.bodySize
                paxSize = nil
            }
            let left = size - min(at, size)
            guard body <= left else {
                return .torn("the tar ends at byte \(size), within a member that goes on to byte \(at &+ body)")
            }
            at += (body + UInt64(tarBlock) - 1) / UInt64(tarBlock) * UInt64(tarBlock)
        }
    }

    /// The `size` record of a pax header, where it has one: bytes of the next member's body, where eleven octal digits
    /// cannot say them.
    private static func paxRecordSize<E: Error>(
        at offset: UInt64, count: UInt64, of size: UInt64,
        read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> UInt64? {
        guard count > 0, count <= paxByteCountMax else { return nil }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(count), alignment: 8)
        defer { buffer.deallocate() }
        guard try fill(buffer, at: offset, of: size, read) == buffer.count else { return nil }
        // Records are "LENGTH KEY=VALUE\n", LENGTH counting the whole record.
        var rest = buffer[...]
        while let space = rest.firstIndex(of: UInt8(ascii: " ")),
            let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
            length > space - rest.startIndex + 1, length <= rest.count
        {
            let record = rest[(space + 1)..<(rest.startIndex + length - 1)]
            if record.starts(with: "size=".utf8) { return UInt64(String(decoding: record.dropFirst(5), as: UTF8.self)) }
            rest = rest.dropFirst(length)
        }
        return nil
    }
}
