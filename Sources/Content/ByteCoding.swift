// SPDX-License-Identifier: Apache-2.0

/// Appends the fields of our formats to a byte array: fixed numbers in little-endian order, counts as LEB128.
public struct ByteWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init(reserving capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    public mutating func fixed(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    public mutating func count(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    public mutating func count(_ value: Int) { count(UInt64(value)) }

    public mutating func digest(_ digest: Digest) { digest.withBytes { bytes.append(contentsOf: $0) } }

    public mutating func raw(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    /// A count of bytes and the bytes.
    public mutating func blob(_ more: some Collection<UInt8>) {
        count(more.count)
        raw(more)
    }

    public mutating func text(_ text: some StringProtocol) { blob(Array(text.utf8)) }
}

/// Reads the fields of our formats from bytes that nobody trusts: every read is bounded and throws on the first lie.
public struct ByteReader: Sendable {
    private let bytes: ArraySlice<UInt8>
    private var at: Int

    public init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        self.at = bytes.startIndex
    }

    public init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    public var remaining: Int { bytes.endIndex - at }

    public mutating func fixed<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(ContentError) -> T {
        let size = MemoryLayout<T>.size
        let slice = try raw(size)
        return slice.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(as: T.self)) }
    }

    public mutating func count(max: UInt64 = .max) throws(ContentError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try fixed(UInt8.self)
            let part = UInt64(byte & 0x7f)
            guard shift < 63 || (shift == 63 && part <= 1) else {
                throw ContentError(.malformed, "a count has more than 64 bits")
            }
            value |= part << shift
            if byte & 0x80 == 0 { break }
            shift += 7
        }
        guard value <= max else { throw ContentError(.malformed, "a count is \(value) and may be \(max)") }
        return value
    }

    public mutating func count(max: Int) throws(ContentError) -> Int { Int(try count(max: UInt64(max))) }

    public mutating func digest() throws(ContentError) -> Digest {
        try raw(Digest.byteCount).withUnsafeBytes { Digest($0) }
    }

    public mutating func raw(_ count: Int) throws(ContentError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else {
            throw ContentError(.malformed, "\(count) bytes were announced and \(remaining) are left")
        }
        defer { at += count }
        return bytes[at..<at + count]
    }

    public mutating func blob(max: Int) throws(ContentError) -> ArraySlice<UInt8> {
        try raw(try count(max: max))
    }

    public mutating func text(max: Int) throws(ContentError) -> String {
        guard let text = String(validating: try blob(max: max), as: UTF8.self) else {
            throw ContentError(.malformed, "a text is not UTF-8")
        }
        return text
    }

    /// - Throws: ``ContentError`` `malformed` where bytes are left.
    public func end() throws(ContentError) {
        guard remaining == 0 else { throw ContentError(.malformed, "\(remaining) bytes are left over") }
    }
}
