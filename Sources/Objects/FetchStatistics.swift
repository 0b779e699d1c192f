// SPDX-License-Identifier: Apache-2.0

import Content
import Metrics
import NIOConcurrencyHelpers
import Peers

/// Counts what came from where, and how fast the link gives, for metrics and for estimates of time.
final class FetchStatistics: Sendable {
    /// Rates are averaged over windows of about this long.
    static let window = Duration.seconds(2)

    private struct State {
        var peerBytes: UInt64 = 0
        var linkBytes: UInt64 = 0
        var failures: UInt64 = 0
        var windowBegin: ContinuousClock.Instant?
        var windowBytes: UInt64 = 0
        var rate: Double?
    }

    private let fromPeers = Counter(label: "larder_fetch_bytes_total", dimensions: [("from", "peer")])
    private let fromLinks = Counter(label: "larder_fetch_bytes_total", dimensions: [("from", "link")])
    private let failures = Counter(label: "larder_fetch_failures_total")
    private let state = NIOLockedValueBox(State())

    func received(_ bytes: Int, from source: Source) {
        (source.kind == .link ? fromLinks : fromPeers).increment(by: bytes)
        let now = ContinuousClock.now
        state.withLockedValue { state in
            guard source.kind == .link else {
                state.peerBytes += UInt64(bytes)
                return
            }
            state.linkBytes += UInt64(bytes)
            state.windowBytes += UInt64(bytes)
            guard let begin = state.windowBegin, now - begin < FetchStatistics.window * 2 else {
                state.windowBegin = now
                state.windowBytes = UInt64(bytes)
                return
            }
            guard now - begin >= FetchStatistics.window else { return }
            state.rate = Double(state.windowBytes) / ((now - begin) / Duration.seconds(1))
            state.windowBegin = now
            state.windowBytes = 0
        }
    }

    func failed() {
        failures.increment()
        state.withLockedValue { $0.failures += 1 }
    }

    /// Decoded bytes a second that the link gave when it last gave for a while.
    var linkRate: Double? { state.withLockedValue { $0.rate } }

    var totals: (peer: UInt64, link: UInt64, failures: UInt64) {
        state.withLockedValue { ($0.peerBytes, $0.linkBytes, $0.failures) }
    }
}
