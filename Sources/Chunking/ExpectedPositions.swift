// SPDX-License-Identifier: Apache-2.0

public import Content

/// Where bases go on at each chunk of an object: what stands there in the base is most likely what the chunk was before
/// it changed. Eight bytes a chunk.
public struct ExpectedPositions: Sendable {
    private let places: [UInt64]

    /// - Parameter bases: in the order of their numbers.
    public init(of object: ChunkSequence, in bases: [BaseObject]) {
        let sequences = bases.map(\.sequence)
        var cursor = BaseCursor()
        // Bytes of the base before the place: chunks that changed are cut elsewhere, but are about as long as before.
        var offset: UInt64 = 0
        places = object.chunks.map { chunk in
            if let place = cursor.find(chunk, in: sequences) {
                cursor.passed(place)
                offset = bases[place.base].range(of: place.position).upperBound
                return ExpectedPositions.pack(place)
            }
            let middle = offset + UInt64(chunk.length) / 2
            offset += UInt64(chunk.length)
            guard cursor.next.base < bases.count else { return UInt64.max }
            let position = bases[cursor.next.base].positions(covering: middle..<middle + 1).first
            let expected = BasePosition(base: cursor.next.base, position: position ?? cursor.next.position)
            cursor.passed(expected)
            return ExpectedPositions.pack(expected)
        }
    }

    /// What is expected at a chunk of the object; nil where there are no bases.
    public subscript(position: Int) -> BasePosition? {
        guard position < places.count, places[position] != .max else { return nil }
        return BasePosition(base: Int(places[position] >> 48), position: Int(places[position] & 0xffff_ffff_ffff))
    }

    private static func pack(_ place: BasePosition) -> UInt64 { UInt64(place.base) << 48 | UInt64(place.position) }
}
