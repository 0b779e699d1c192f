// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Synchronization

// The values behind metrics: atomics only, because they are changed on hot paths and read once in ten seconds.

/// A number that only grows.
final class CounterCell: CounterHandler {
    private let value = Atomic<Int64>(0)

    func increment(by amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { value.store(0, ordering: .relaxed) }

    var current: Int64 { value.load(ordering: .relaxed) }
}

/// A floating-point number, as its bits.
final class DoubleCell: Sendable {
    private let bits = Atomic<UInt64>(0)

    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    var current: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

final class FloatingPointCounterCell: FloatingPointCounterHandler {
    let value = DoubleCell()

    func increment(by amount: Double) { value.add(amount) }
    func reset() { value.set(0) }
}

/// A number that rises and falls: gauges and meters.
final class GaugeCell: RecorderHandler, MeterHandler {
    let value = DoubleCell()

    func record(_ value: Int64) { self.value.set(Double(value)) }
    func record(_ value: Double) { self.value.set(value) }
    func set(_ value: Int64) { self.value.set(Double(value)) }
    func set(_ value: Double) { self.value.set(value) }
    func increment(by amount: Double) { value.add(amount) }
    func decrement(by amount: Double) { value.add(-amount) }
}

/// How often values fell below each of some fixed bounds, and their sum.
///
/// Fixed bounds and not quantiles: counts of several agents can be added up, quantiles cannot.
final class HistogramCell: RecorderHandler, TimerHandler {
    /// From a tenth of a millisecond, a hit, to two minutes, twice the stall limit; seconds.
    static let durationBounds = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
    ]
    /// Powers of four from 1 to 4^20 (1 TiB): sizes and counts of anything.
    static let sizeBounds = (0...20).map { Double(UInt64(1) << (2 * UInt64($0))) }

    let bounds: [Double]
    private let buckets: [CounterCell]
    private let total = DoubleCell()

    init(bounds: [Double]) {
        self.bounds = bounds
        self.buckets = (0...bounds.count).map { _ in CounterCell() }
    }

    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        buckets[bounds.firstIndex { value <= $0 } ?? bounds.count].increment(by: 1)
        total.add(value)
    }

    /// For each bound how many values were at most it, then how many there were.
    var cumulative: [Int64] {
        var sum: Int64 = 0
        return buckets.map { bucket in
            sum += bucket.current
            return sum
        }
    }

    var sum: Double { total.current }
}
