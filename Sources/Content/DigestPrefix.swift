// SPDX-License-Identifier: Apache-2.0

/// 48 bits of a digest: enough to find a chunk by, among those that one agent can hold, and never enough to
/// trust one by. What was found is proven by the digest of the block list that it completes.
public struct DigestPrefix: Hashable, Sendable {
    /// Bytes on the wire. A billion chunks held make a chance of 1 in 280,000 that an absent one seems to be there.
    public static let byteCount = 6

    /// The 48 bits, in the lower part of a word.
    public let bits: UInt64

    /// - Parameter bits: what is above 48 bits is dropped.
    public init(bits: UInt64) { self.bits = bits & 0xffff_ffff_ffff }

    /// The 6 highest and the 42 lowest bits of the digest's first word: these choose a table of a store's index and the
    /// place in it, so that a store finds a chunk by them.
    public init(of digest: Digest) { bits = DigestPrefix.bits(of: digest.prefix) }

    /// Whether a digest has these bits.
    public func matches(_ digest: Digest) -> Bool { matches(word: digest.prefix) }

    /// Whether a digest that begins with this word has these bits.
    public func matches(word: UInt64) -> Bool { DigestPrefix.bits(of: word) == bits }

    /// The highest six bits of the digest.
    public var high: Int { Int(bits >> 42) }

    /// The lowest 42 bits of the digest's first word.
    public var low: UInt64 { bits & (1 << 42 - 1) }

    private static func bits(of word: UInt64) -> UInt64 { (word >> 58) << 42 | word & (1 << 42 - 1) }
}

extension ByteWriter {
    mutating func prefix(_ prefix: DigestPrefix) {
        raw((0..<DigestPrefix.byteCount).map { UInt8(truncatingIfNeeded: prefix.bits >> UInt64(40 - 8 * $0)) })
    }

    /// A signed number: small ones of either sign take a byte.
    mutating func signed(_ value: Int) { count(UInt64(bitPattern: Int64(value &<< 1) ^ Int64(value &>> 63))) }
}

extension ByteReader {
    mutating func prefix() throws(ContentError) -> DigestPrefix {
        DigestPrefix(bits: try raw(DigestPrefix.byteCount).reduce(0) { $0 << 8 | UInt64($1) })
    }

    mutating func signed() throws(ContentError) -> Int {
        let word = try count()
        return Int(Int64(bitPattern: word >> 1) ^ -Int64(bitPattern: word & 1))
    }
}
