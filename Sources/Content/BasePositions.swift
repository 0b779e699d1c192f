// SPDX-License-Identifier: Apache-2.0

/// The bases of one batch as they cross: ascending positions, a byte or two each.
///
/// Format: count, then for each `step << 1 | isNextBase` as a count: `step` from the position after the last one, or from
/// 0 of a later base, whose distance follows as a count.
public enum BasePositions {
    /// The most bases of a batch: its bytes of bases in chunks of about 1.5 KiB, headers of members for the most part.
    public static let countMax = 4096

    /// - Parameter positions: ascending, none twice, at most ``countMax``.
    public static func write(_ positions: [BasePosition], to out: inout ByteWriter) {
        out.count(positions.count)
        var next = BasePosition(base: 0, position: 0)
        for position in positions {
            if position.base == next.base {
                out.count((position.position - next.position) << 1)
            } else {
                out.count(position.position << 1 | 1)
                out.count(position.base - next.base)
            }
            next = BasePosition(base: position.base, position: position.position + 1)
        }
    }

    /// - Returns: positions that the bases have, ascending, none twice.
    /// - Throws: ``ContentError`` `malformed`.
    public static func read(
        _ input: inout ByteReader, bases: [ChunkSequence]
    ) throws(ContentError) -> [BasePosition] {
        let count = try input.count(max: countMax)
        var positions: [BasePosition] = []
        positions.reserveCapacity(count)
        var next = BasePosition(base: 0, position: 0)
        for _ in 0..<count {
            let word = try input.count(max: 1 << 33)
            var place = BasePosition(base: next.base, position: next.position + word >> 1)
            if word & 1 == 1 {
                place = BasePosition(base: next.base + (try input.count(max: bases.count)), position: word >> 1)
                guard place.base > next.base else { throw ContentError(.malformed, "a base after itself") }
            }
            guard place.base < bases.count, place.position < bases[place.base].count else {
                throw ContentError(.malformed, "no base has a chunk at \(place.position)")
            }
            positions.append(place)
            next = BasePosition(base: place.base, position: place.position + 1)
        }
        return positions
    }
}
