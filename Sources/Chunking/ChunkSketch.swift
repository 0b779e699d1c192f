// SPDX-License-Identifier: Apache-2.0

/// What a chunk looks like: chunks that share most of their bytes share a super-feature or more with high probability.
///
/// One of 64 positions of a rolling gear hash is a sample, chosen by content; each of twelve features is the greatest
/// of a linear function of all samples; a super-feature is a hash of four of them (Shilane et al., FAST 2012; the
/// sampling is Zou et al., "Odess", ICDE 2021). Computed by the sender when a link asks, for the chunks that two
/// objects do not share, and kept in memory only: an ingest pays nothing, and there is no state to lose.
public struct ChunkSketch: Hashable, Sendable {
    public let first: UInt32
    public let second: UInt32
    public let third: UInt32

    public init(first: UInt32, second: UInt32, third: UInt32) {
        self.first = first
        self.second = second
        self.third = third
    }

    /// About 1 GB/s a core.
    public init(of bytes: UnsafeRawBufferPointer) {
        var features = Features()
        features.scan(bytes)
        self = features.sketch
    }

    /// The super-features in order.
    public var features: [UInt32] { [first, second, third] }

    /// How many super-features are equal: 0 to 3.
    public func matchCount(_ other: ChunkSketch) -> Int {
        (first == other.first ? 1 : 0) + (second == other.second ? 1 : 0) + (third == other.third ? 1 : 0)
    }
}

/// The twelve features under way.
// Safety: reads within the buffer that `scan` is given, whose owner vouches for it.
private struct Features {
    private var a = SIMD4<UInt32>()
    private var b = SIMD4<UInt32>()
    private var c = SIMD4<UInt32>()

    /// Samples are positions whose hash is below this: one of 64.
    private static let sampled: UInt64 = 1 << 58
    /// Odd factors and any summands: random words.
    private static let factors: (SIMD4<UInt32>, SIMD4<UInt32>, SIMD4<UInt32>) = (
        SIMD4(0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f),
        SIMD4(0x1656_67b1, 0xd3a2_646d, 0xfd70_46c5, 0xb55a_4f09),
        SIMD4(0x8cb9_2ba7, 0x5851_f42d, 0x1405_7b7f, 0x6c07_8965)
    )
    private static let summands: (SIMD4<UInt32>, SIMD4<UInt32>, SIMD4<UInt32>) = (
        SIMD4(0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c),
        SIMD4(0x1f83_d9ab, 0x5be0_cd19, 0xcbbb_9d5d, 0x629a_292a),
        SIMD4(0x9159_015a, 0x152f_ecd8, 0x6733_2667, 0x8eb4_4a87)
    )

    mutating func scan(_ buffer: UnsafeRawBufferPointer) {
        guard let base = buffer.baseAddress else { return }
        let bytes = base.assumingMemoryBound(to: UInt8.self)
        let gear = Gear.table
        var hash: UInt64 = 0
        var at = 0
        let count = buffer.count
        while at &+ 4 <= count {
            hash = (hash &<< 1) &+ gear[Int(bytes[at])]
            if hash < Features.sampled { take(hash) }
            hash = (hash &<< 1) &+ gear[Int(bytes[at &+ 1])]
            if hash < Features.sampled { take(hash) }
            hash = (hash &<< 1) &+ gear[Int(bytes[at &+ 2])]
            if hash < Features.sampled { take(hash) }
            hash = (hash &<< 1) &+ gear[Int(bytes[at &+ 3])]
            if hash < Features.sampled { take(hash) }
            at &+= 4
        }
        while at < count {
            hash = (hash &<< 1) &+ gear[Int(bytes[at])]
            if hash < Features.sampled { take(hash) }
            at &+= 1
        }
    }

    @inline(__always)
    private mutating func take(_ hash: UInt64) {
        // The upper bits below the sampling ones depend on the most bytes.
        let word = SIMD4<UInt32>(repeating: UInt32(truncatingIfNeeded: hash >> 26))
        a = pointwiseMax(a, word &* Features.factors.0 &+ Features.summands.0)
        b = pointwiseMax(b, word &* Features.factors.1 &+ Features.summands.1)
        c = pointwiseMax(c, word &* Features.factors.2 &+ Features.summands.2)
    }

    var sketch: ChunkSketch {
        ChunkSketch(first: Features.fold(a), second: Features.fold(b), third: Features.fold(c))
    }

    private static func fold(_ features: SIMD4<UInt32>) -> UInt32 {
        var hash: UInt64 = 0
        for i in 0..<4 { hash = (hash ^ UInt64(features[i])) &* 0x9e37_79b9_7f4a_7c15; hash ^= hash >> 29 }
        return UInt32(truncatingIfNeeded: hash >> 32)
    }
}
