// SPDX-License-Identifier: Apache-2.0

/// The events to come, the earliest first and equal ones in the order in which they were planned. Microseconds.
struct Timeline {
    private struct Event {
        let time: Int64
        let order: UInt64
        let happen: () -> Void

        func isBefore(_ other: Event) -> Bool { (time, order) < (other.time, other.order) }
    }

    private(set) var now: Int64 = 0
    private var heap: [Event] = []
    private var order: UInt64 = 0

    mutating func plan(after delay: Int64, _ happen: @escaping () -> Void) {
        order += 1
        heap.append(Event(time: now + max(0, delay), order: order, happen: happen))
        var at = heap.count - 1
        while at > 0, heap[at].isBefore(heap[(at - 1) / 2]) {
            heap.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }

    /// Moves the clock to the next event that is not after `end`; nil: there is none, and the clock is at `end`.
    mutating func next(until end: Int64) -> (() -> Void)? {
        guard let first = heap.first, first.time <= end else {
            now = max(now, end)
            return nil
        }
        now = first.time
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        return first.happen
    }

    private mutating func sink() {
        var at = 0
        while true {
            var least = at
            for child in [2 * at + 1, 2 * at + 2] where child < heap.count && heap[child].isBefore(heap[least]) {
                least = child
            }
            if least == at { return }
            heap.swapAt(at, least)
            at = least
        }
    }
}

/// Units of simulated time.
enum Simulated {
    static let millisecond: Int64 = 1000
    static let second: Int64 = 1_000_000
}

extension Duration {
    var microseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
}
