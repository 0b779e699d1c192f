// SPDX-License-Identifier: Apache-2.0

/// Which bytes of a file were written: disjoint ranges in order, that do not touch.
public struct Extents: Sendable, Hashable {
    public private(set) var ranges: [Range<UInt64>] = []
    /// Bytes in all ranges.
    public private(set) var byteCount: UInt64 = 0

    public init() {}

    /// Adds a range.
    public mutating func insert(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        // Writes in order extend the last range.
        if let last = ranges.last, last.upperBound == range.lowerBound {
            ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
            byteCount += UInt64(range.count)
            return
        }
        let first = position(of: range.lowerBound)
        var end = first
        var joined = range
        while end < ranges.count, ranges[end].lowerBound <= range.upperBound {
            joined = min(joined.lowerBound, ranges[end].lowerBound)..<max(joined.upperBound, ranges[end].upperBound)
            byteCount -= UInt64(ranges[end].count)
            end += 1
        }
        ranges.replaceSubrange(first..<end, with: [joined])
        byteCount += UInt64(joined.count)
    }

    /// Removes everything from an offset on.
    public mutating func truncate(to size: UInt64) {
        while let last = ranges.last, last.upperBound > size {
            byteCount -= UInt64(last.count)
            ranges.removeLast()
            if last.lowerBound < size { insert(last.lowerBound..<size) }
        }
    }

    /// The parts of a range that no range here covers.
    public func gaps(in range: Range<UInt64>) -> [Range<UInt64>] {
        var gaps: [Range<UInt64>] = []
        var at = range.lowerBound
        var index = position(of: range.lowerBound)
        while at < range.upperBound {
            guard index < ranges.count, ranges[index].lowerBound < range.upperBound else {
                gaps.append(at..<range.upperBound)
                break
            }
            if ranges[index].lowerBound > at { gaps.append(at..<ranges[index].lowerBound) }
            at = max(at, ranges[index].upperBound)
            index += 1
        }
        return gaps
    }

    /// The first range that ends at or after an offset.
    private func position(of offset: UInt64) -> Int {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
