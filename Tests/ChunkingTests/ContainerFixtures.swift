// SPDX-License-Identifier: Apache-2.0

/// Writes tars as the writers that we meet do: members, pax and GNU headers, sparse members, tars in tars.
struct TarFixture {
    private(set) var bytes: [UInt8] = []
    /// Where bodies of members begin and end, with their padding, in the order in which they were added.
    private(set) var bodies: [Range<Int>] = []

    /// How a size is written.
    enum Size {
        case octal
        /// GNU's, for those that eleven digits cannot hold.
        case base256
        /// In a pax header before, and 0 in the member's own.
        case pax
    }

    mutating func add(
        _ path: String, _ body: [UInt8], type: Character = "0", time: Int = 0, size: Size = .octal
    ) {
        if size == .pax { addRecords("x", ["size": "\(body.count)"]) }
        addHeader(path, type, size == .pax ? 0 : body.count, time, size)
        addBody(body)
    }

    /// A member whose path is in a pax header or a GNU long name before it.
    mutating func addLong(_ path: String, _ body: [UInt8], isPax: Bool, time: Int = 0) {
        if isPax {
            addRecords("x", ["mtime": "\(time).5", "path": path])
        } else {
            addHeader("././@LongLink", "L", path.utf8.count + 1, 0, .octal)
            addPadded(Array(path.utf8) + [0])
        }
        addHeader(String(path.prefix(90)), "0", body.count, time, .octal)
        addBody(body)
    }

    /// An old GNU sparse member with one more block of map.
    mutating func addSparse(_ path: String, _ body: [UInt8]) {
        addHeader(path, "S", body.count, 0, .octal, isExtended: true)
        addPadded([UInt8](repeating: 0, count: 512))
        addBody(body)
    }

    mutating func addRecords(_ type: Character, _ records: [String: String]) {
        var text = ""
        for (key, value) in records.sorted(by: { $0.key < $1.key }) {
            let rest = " \(key)=\(value)\n"
            var length = rest.utf8.count
            while "\(length)".utf8.count + rest.utf8.count != length { length += 1 }
            text += "\(length)" + rest
        }
        addHeader("PaxHeaders/1", type, text.utf8.count, 0, .octal)
        addPadded(Array(text.utf8))
    }

    mutating func end() { bytes += [UInt8](repeating: 0, count: 1024) }

    private mutating func addBody(_ body: [UInt8]) {
        let start = bytes.count
        addPadded(body)
        bodies.append(start..<bytes.count)
    }

    private mutating func addPadded(_ more: [UInt8]) {
        bytes += more
        bytes += [UInt8](repeating: 0, count: (512 - more.count % 512) % 512)
    }

    private mutating func addHeader(
        _ path: String, _ type: Character, _ count: Int, _ time: Int, _ size: Size, isExtended: Bool = false
    ) {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ at: Int, _ text: String) { block.replaceSubrange(at..<at + text.utf8.count, with: text.utf8) }
        func octal(_ value: Int, _ digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: digits - text.count) + text
        }
        put(0, String(path.prefix(100)))
        put(100, "0000644")
        put(108, "0000000")
        put(116, "0000000")
        if size == .base256 {
            block[124] = 0x80
            for i in 0..<8 { block[128 + i] = UInt8(truncatingIfNeeded: count >> (56 - 8 * i)) }
        } else {
            put(124, octal(count, 11))
        }
        put(136, octal(time, 11))
        put(148, "        ")
        put(156, String(type))
        put(257, "ustar")
        put(263, "00")
        if isExtended { block[482] = 1 }
        put(148, octal(block.reduce(0) { $0 + Int($1) }, 6))
        block[154] = 0
        bytes += block
    }
}

/// Writes zips of stored members, with lengths before the bodies or after them.
struct ZipFixture {
    private(set) var bytes: [UInt8] = []
    /// Where bodies begin, and where they end with their descriptors.
    private(set) var bodies: [Range<Int>] = []
    private var directory: [UInt8] = []

    mutating func add(
        _ path: String, _ body: [UInt8], time: Int = 0, hasDescriptor: Bool = false, isZip64: Bool = false
    ) {
        let header = bytes.count
        func word(_ value: Int, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        let fields = word(20, 2) + word(hasDescriptor ? 8 : 0, 2) + word(0, 2) + word(time, 4)
        let checksum = word(body.reduce(7) { ($0 &* 31 &+ Int($1)) & 0xffff_ffff }, 4)
        let known = checksum + word(body.count, 4) + word(body.count, 4)
        bytes += word(0x0403_4b50, 4) + fields + (hasDescriptor ? word(0, 12) : known)
        bytes += word(path.utf8.count, 2) + word(0, 2) + Array(path.utf8)
        let start = bytes.count
        bytes += body
        if hasDescriptor {
            bytes +=
                word(0x0807_4b50, 4) + checksum + word(body.count, isZip64 ? 8 : 4) + word(body.count, isZip64 ? 8 : 4)
        }
        bodies.append(start..<bytes.count)
        directory += word(0x0201_4b50, 4) + word(20, 2) + fields + known + word(path.utf8.count, 2) + word(0, 12)
        directory += word(header, 4) + Array(path.utf8)
    }

    /// Where the central directory begins, after it was added.
    mutating func end() -> Int {
        let start = bytes.count
        func word(_ value: Int, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        bytes += directory
        bytes += word(0x0605_4b50, 4) + word(0, 4) + word(bodies.count, 2) + word(bodies.count, 2)
        bytes += word(directory.count, 4) + word(start, 4) + word(0, 2)
        return start
    }
}

extension Seeded {
    /// Bytes of a length that is `count` give or take a half.
    mutating func some(_ count: Int) -> [UInt8] { bytes(Int.random(in: count / 2...count * 3 / 2, using: &self)) }
}
