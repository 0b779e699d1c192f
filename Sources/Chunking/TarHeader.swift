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
        guard block.count == tarBlock, block[0] != 0, let size = TarHeader.number(block[124..<136]) else { return nil }
        var sum: UInt32 = 0
        for byte in block { sum &+= UInt32(byte) }
        // The checksum is that of a header whose checksum is eight spaces.
        for at in 148..<156 { sum = sum &+ 32 &- UInt32(block[at]) }
        guard TarHeader.number(block[148..<156]) == UInt64(sum) else { return nil }
        self.size = size
        self.type = block[156]
        self.isExtended = type == UInt8(ascii: "S") && block[482] != 0
    }

    /// Bytes of the body. Links, devices, directories and pipes have none, whatever their size field says.
    ///
    /// - Parameter pax: what a pax header before this one says, which counts where it is given: Python writes 0 then.
    func bodySize(pax: UInt64?) -> UInt64 {
        (UInt8(ascii: "1")...UInt8(ascii: "6")).contains(type) ? 0 : pax ?? size
    }

    /// Whether the body says something about the next member, or about all that follow, and is no member itself.
    var isAbout: Bool {
        switch type {
        case UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K"): true
        default: false
        }
    }

    /// A body with its padding.
    static func padded(_ size: UInt64) -> UInt64 { (size &+ UInt64(tarBlock - 1)) & ~UInt64(tarBlock - 1) }

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

/// The records of a pax header: "LENGTH KEY=VALUE\n", LENGTH counting the whole record.
struct PaxRecords {
    /// A pax header is a few records; a longer one is not looked at.
    static let byteCountMax: UInt64 = 1 << 20

    /// Bytes of the next member's body, where eleven octal digits cannot say them.
    private(set) var size: UInt64?
    /// The next member's path.
    private(set) var path: [UInt8]?

    init(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while let space = rest.firstIndex(of: UInt8(ascii: " ")),
            let length = Int(String(decoding: rest[..<space].prefix(20), as: UTF8.self)),
            length > space - rest.startIndex + 1, length <= rest.count
        {
            let record = rest[(space + 1)..<(rest.startIndex + length - 1)]
            if record.starts(with: "size=".utf8) { size = UInt64(String(decoding: record.dropFirst(5), as: UTF8.self)) }
            if record.starts(with: "path=".utf8) { path = Array(record.dropFirst(5)) }
            rest = rest.dropFirst(length)
        }
    }
}
