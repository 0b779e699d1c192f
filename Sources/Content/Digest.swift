// SPDX-License-Identifier: Apache-2.0

/// The SHA-256 digest that names a chunk, a block list or a manifest.
///
/// Four words and not an array: a digest is compared, hashed and copied on every path, and must never allocate.
public struct Digest: Hashable, Comparable, Sendable {
    /// The bytes of a digest on disk and on the wire.
    public static let byteCount = 32

    @usableFromInline let w0: UInt64
    @usableFromInline let w1: UInt64
    @usableFromInline let w2: UInt64
    @usableFromInline let w3: UInt64

    /// A digest from its 32 bytes.
    ///
    /// - Parameter bytes: exactly ``byteCount`` bytes; anything else is a mistake of the caller and traps.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == Digest.byteCount, "a digest has 32 bytes")
        w0 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        w1 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        w2 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        w3 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    }

    /// A digest from its 64 hexadecimal digits, or nil where the text is anything else.
    public init?(hex: some StringProtocol) {
        var words: [UInt64] = []
        var word: UInt64 = 0
        var digits = 0
        for unit in hex.utf8 {
            guard digits < 64, let value = hexValue(unit) else { return nil }
            word = word << 4 | UInt64(value)
            digits += 1
            if digits % 16 == 0 {
                words.append(word)
                word = 0
            }
        }
        guard digits == 64 else { return nil }
        (w0, w1, w2, w3) = (words[0], words[1], words[2], words[3])
    }

    /// The first eight bytes, as a number: uniform already, so tables use it as their hash.
    @inlinable
    public var prefix: UInt64 { w0 }

    /// The last eight bytes, as a number; independent of ``prefix``.
    @inlinable
    public var suffix: UInt64 { w3 }

    /// Calls `body` with the 32 bytes.
    @inlinable
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        let words = (w0.bigEndian, w1.bigEndian, w2.bigEndian, w3.bigEndian)
        return withUnsafeBytes(of: words) { body($0) }
    }

    /// The 32 bytes, for places that need an array (SQLite, JSON).
    public var bytes: [UInt8] { withBytes { Array($0) } }

    /// The 64 lower-case hexadecimal digits.
    public var hex: String { withBytes { hexText($0) } }

    @inlinable
    public func hash(into hasher: inout Hasher) { hasher.combine(w0) }

    @inlinable
    public static func < (a: Digest, b: Digest) -> Bool {
        (a.w0, a.w1, a.w2, a.w3) < (b.w0, b.w1, b.w2, b.w3)
    }
}

extension Digest: CustomStringConvertible {
    /// The first 12 hexadecimal digits, for logs: enough to find it, short enough to read.
    public var description: String { String(hex.prefix(12)) }
}

func hexValue(_ unit: UInt8) -> UInt8? {
    switch unit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): unit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): unit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): unit - UInt8(ascii: "A") + 10
    default: nil
    }
}

func hexText(_ bytes: UnsafeRawBufferPointer) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(unsafeUninitializedCapacity: bytes.count * 2) { out in
        for (i, byte) in bytes.enumerated() {
            out[2 * i] = digits[Int(byte >> 4)]
            out[2 * i + 1] = digits[Int(byte & 15)]
        }
        return bytes.count * 2
    }
}
