// SPDX-License-Identifier: Apache-2.0

/// What a sweep found: a value that is told slots and says which segments to unlink and which to punch.
struct DeadRecords {
    /// File systems give space back in blocks of this size; larger ones only give back less.
    static let blockByteCount: UInt64 = 4096
    /// Dead bytes that a segment may have beyond an eighth before it is looked for gaps that no sweep made.
    static let slack: UInt64 = 4 << 20
    /// Live ranges that are sorted at a time, 16 bytes each: 16 MiB of memory whatever the size of the store.
    private static let rangeCountMax = 1 << 20

    struct Live {
        var chunks = 0
        var bytes: UInt64 = 0
    }

    /// Segments to which nothing was written since before the sweep began.
    let settled: Set<UInt32>
    private(set) var live: [UInt32: Live] = [:]
    /// Settled segments in which something died now.
    private(set) var touched: Set<UInt32> = []
    /// The dead of the others.
    private(set) var inActive: [UInt32: [Range<UInt64>]] = [:]
    private(set) var chunks = 0

    init(settled: Set<UInt32>) { self.settled = settled }

    mutating func drop(_ slot: IndexSlot) {
        chunks += 1
        if settled.contains(slot.segment) {
            touched.insert(slot.segment)
        } else {
            inActive[slot.segment, default: []].append(slot.range)
        }
    }

    mutating func keep(_ slot: IndexSlot) {
        live[slot.segment, default: Live()].chunks += 1
        live[slot.segment, default: Live()].bytes += slot.recordByteCount
    }

    /// The segments in groups whose live ranges can be sorted together.
    func groups(of numbers: Set<UInt32>) -> [Set<UInt32>] {
        var groups: [Set<UInt32>] = []
        var (group, count) = (Set<UInt32>(), 0)
        for number in numbers.sorted() {
            let more = live[number]?.chunks ?? 0
            if !group.isEmpty, count + more > DeadRecords.rangeCountMax {
                groups.append(group)
                (group, count) = ([], 0)
            }
            group.insert(number)
            count += more
        }
        return group.isEmpty ? groups : groups + [group]
    }

    /// The part of a range that is whole blocks.
    static func wholeBlocks(_ range: Range<UInt64>) -> Range<UInt64> {
        let lower = (range.lowerBound + blockByteCount - 1) / blockByteCount * blockByteCount
        let upper = range.upperBound / blockByteCount * blockByteCount
        return lower < upper ? lower..<upper : lower..<lower
    }

    /// Ranges that touch, as one.
    static func joined(_ ranges: [Range<UInt64>]) -> [Range<UInt64>] {
        var out: [Range<UInt64>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = out.last, last.upperBound >= range.lowerBound {
                out[out.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                out.append(range)
            }
        }
        return out
    }
}
