// SPDX-License-Identifier: Apache-2.0

import Metrics
import NIOConcurrencyHelpers

/// The shell around the governor: tasks wait here before they write to a link.
final class Pacer: Sendable {
    private struct State {
        var governor: Governor
        var waiting: [UInt64: Signal] = [:]
    }

    private let state: NIOLockedValueBox<State>
    private let isPaced: Bool
    private let wake: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation
    private let start = ContinuousClock.now
    private let metrics: PeersMetrics

    init(uplink: Double?, headroom: Double, metrics: PeersMetrics) {
        let governor = Governor(bytesPerSecond: uplink, headroom: headroom)
        isPaced = governor.isPaced
        state = NIOLockedValueBox(State(governor: governor))
        (wake, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.metrics = metrics
    }

    private var now: Duration { start.duration(to: .now) }

    /// A request takes its place in the order of its class.
    func begin(request: UInt64, priority: Priority) {
        state.withLockedValue { $0.governor.begin(request: request, priority: priority) }
    }

    func finish(request: UInt64) {
        state.withLockedValue { $0.governor.finish(request: request) }
        waker.yield()
    }

    func promote(request: UInt64, to priority: Priority) {
        state.withLockedValue { $0.governor.promote(request: request, to: priority) }
        waker.yield()
    }

    /// Counts bytes that leave without waiting.
    func charge(bytes: Int) {
        guard isPaced else { return }
        state.withLockedValue { $0.governor.charge(bytes: bytes, now: now) }
    }

    /// Waits until a quantum may leave.
    ///
    /// - Parameter idle: is called every `interval` while it waits, so that the receiver can be told.
    /// - Throws: `CancellationError`, or what `idle` throws; the quantum has left the queue then.
    func acquire(
        request: UInt64,
        priority: Priority,
        bytes: Int,
        interval: Duration,
        idle: () async throws -> Void
    ) async throws {
        guard isPaced else { return }
        let signal = Signal()
        let ticket = state.withLockedValue { state in
            let ticket = state.governor.enqueue(request: request, priority: priority, bytes: bytes)
            state.waiting[ticket.number] = signal
            return ticket
        }
        _ = grant()
        do {
            while !(await signal.wait(limit: interval)) {
                try Task.checkCancellation()
                try await idle()
            }
        } catch {
            state.withLockedValue { state in
                state.governor.cancel(ticket)
                state.waiting[ticket.number] = nil
            }
            throw error
        }
    }

    /// Lets go what may go now.
    ///
    /// - Returns: when to look again, where anything waits.
    private func grant() -> Duration? {
        let (signals, next) = state.withLockedValue { state in
            let (granted, next) = state.governor.grant(now: now)
            return (granted.compactMap { state.waiting.removeValue(forKey: $0.number) }, next)
        }
        for signal in signals { signal.set() }
        if next != nil { waker.yield() }
        return next
    }

    /// Grants as time passes; until it is cancelled.
    func run() async {
        guard isPaced else { return }
        for await _ in wake {
            while let next = grant(), !Task.isCancelled {
                metrics.paced.record(state.withLockedValue { $0.governor.waitingCount })
                try? await Task.sleep(until: start + next, tolerance: .zero, clock: .continuous)
            }
            if Task.isCancelled { return }
        }
    }
}
