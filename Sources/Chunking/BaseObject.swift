// SPDX-License-Identifier: Apache-2.0

public import Content

/// An object that the receiver holds, as the sender sees it when it looks for bases.
public struct BaseObject: Sendable {
    public let sequence: ChunkSequence
    /// By position; none for a chunk that was not sketched: those that the wanted object has too need none.
    public let sketches: [Int: ChunkSketch]
    /// nil where the object is no container, or nobody looked.
    public let outline: Outline?
    /// Where each chunk begins; one more than there are chunks.
    private let offsets: [UInt64]

    public init(sequence: ChunkSequence, sketches: [Int: ChunkSketch], outline: Outline?) {
        self.sequence = sequence
        self.sketches = sketches
        self.outline = outline
        var offsets: [UInt64] = [0]
        offsets.reserveCapacity(sequence.count + 1)
        var sum: UInt64 = 0
        for chunk in sequence.chunks {
            sum += UInt64(chunk.length)
            offsets.append(sum)
        }
        self.offsets = offsets
    }

    /// The bytes of a chunk, as a range of the object.
    public func range(of position: Int) -> Range<UInt64> { offsets[position]..<offsets[position + 1] }

    /// The chunks that have bytes in a range of the object.
    func positions(covering range: Range<UInt64>) -> Range<Int> {
        guard let size = offsets.last, range.lowerBound < min(size, range.upperBound) else { return 0..<0 }
        var low = 0
        var high = sequence.count
        while low < high {
            let middle = (low + high) / 2
            if offsets[middle + 1] <= range.lowerBound { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < sequence.count, offsets[end] < range.upperBound { end += 1 }
        return low..<end
    }
}
