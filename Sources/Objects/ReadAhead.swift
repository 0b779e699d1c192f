// SPDX-License-Identifier: Apache-2.0

/// Which blocks to ask for before a reader needs them: a value told where the reader reads.
///
/// Reads count as sequential while each begins within `slack` of the furthest byte so far, because the kernel's own
/// read-ahead sends its requests in any order. The window doubles with each sequential step, as Linux's own does.
public struct ReadAhead: Sendable {
    /// Requests of the kernel's read-ahead that may overtake each other: 8 of 1 MiB.
    public static let slack: UInt64 = 8 << 20

    /// The most blocks asked for ahead.
    public let windowMax: Int
    private var furthest: UInt64 = 0
    private var window = 0
    private var asked = 0

    public init(windowMax: Int) { self.windowMax = windowMax }

    /// A read of `blocks` ending at byte `end`. Returns the blocks to bring next, none of which was returned before.
    public mutating func read(blocks: Range<Int>, begin: UInt64, end: UInt64, of blockCount: Int) -> Range<Int> {
        let sequential = begin <= furthest + ReadAhead.slack && end + ReadAhead.slack >= furthest
        furthest = sequential ? max(furthest, end) : end
        if sequential {
            window = min(windowMax, max(1, window * 2))
        } else {
            window = 0
            asked = 0
        }
        let from = max(asked, blocks.upperBound)
        let to = min(blockCount, blocks.upperBound + window)
        guard from < to else { return 0..<0 }
        asked = to
        return from..<to
    }
}
