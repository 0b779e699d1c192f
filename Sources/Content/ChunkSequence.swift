// SPDX-License-Identifier: Apache-2.0

/// The chunks of an object in order, with an index by digest: what a base is to who encodes against it.
///
/// Four bytes a chunk beside the references. A position counts chunks from the object's start.
public struct ChunkSequence: Hashable, Sendable {
    public let chunks: [ChunkReference]
    /// Positions, ordered by digest and among equals by position.
    private let order: [UInt32]

    /// - Parameter chunks: at most 2^32.
    public init(chunks: [ChunkReference]) {
        self.chunks = chunks
        var order = Array(0..<UInt32(chunks.count))
        order.sort { a, b in
            let (first, second) = (chunks[Int(a)].digest, chunks[Int(b)].digest)
            return first.prefix == second.prefix && first == second ? a < b : first < second
        }
        self.order = order
    }

    /// The chunks of all blocks of an object.
    public init(lists: some Sequence<BlockList>) { self.init(chunks: lists.flatMap(\.chunks)) }

    public var count: Int { chunks.count }

    /// Where a chunk is: at `expected` if it is there, else where it is first.
    public func position(of chunk: ChunkReference, expected: Int = 0) -> Int? {
        if expected >= 0, expected < chunks.count, chunks[expected] == chunk { return expected }
        var low = 0
        var high = order.count
        while low < high {
            let middle = (low + high) / 2
            if chunks[Int(order[middle])].digest < chunk.digest { low = middle + 1 } else { high = middle }
        }
        guard low < order.count, chunks[Int(order[low])] == chunk else { return nil }
        return Int(order[low])
    }

    /// How many chunks from `position` on are those of `other` from `start` on, up to `end`.
    func matchCount(at position: Int, with other: [ChunkReference], from start: Int, to end: Int) -> Int {
        var count = 0
        while start + count < end, position + count < chunks.count, chunks[position + count] == other[start + count] {
            count += 1
        }
        return count
    }
}

/// A chunk of a base: which of the bases that were named, and which of its chunks.
public struct BasePosition: Hashable, Comparable, Sendable {
    public var base: Int
    public var position: Int

    public init(base: Int, position: Int) {
        self.base = base
        self.position = position
    }

    public static func < (a: BasePosition, b: BasePosition) -> Bool { (a.base, a.position) < (b.base, b.position) }
}

/// Follows a sequence of chunks through bases: what comes next if nothing changed. Writers and readers of everything
/// that is coded against bases keep one each, in step.
public struct BaseCursor: Hashable, Sendable {
    /// Where the next chunk is, if it is the one that follows in the base.
    public private(set) var next = BasePosition(base: 0, position: 0)

    public init() {}

    /// Finds a chunk in the bases: where it is expected, else in the same base, else in the first that has it.
    public func find(_ chunk: ChunkReference, in bases: [ChunkSequence]) -> BasePosition? {
        guard next.base < bases.count else { return nil }
        if let position = bases[next.base].position(of: chunk, expected: next.position) {
            return BasePosition(base: next.base, position: position)
        }
        for (number, base) in bases.enumerated() where number != next.base {
            if let position = base.position(of: chunk) { return BasePosition(base: number, position: position) }
        }
        return nil
    }

    /// The chunk was known: the one after it is next.
    public mutating func passed(_ position: BasePosition, count: Int = 1) {
        next = BasePosition(base: position.base, position: position.position + count)
    }

    /// The chunk was new: it most likely stands for the one that was expected.
    public mutating func passedNew() { next.position += 1 }
}
