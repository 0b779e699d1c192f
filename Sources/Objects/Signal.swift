// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Something that happens once and that one task waits for; it may happen before the task waits.
final class Signal: Sendable {
    private struct State {
        var fired = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = NIOLockedValueBox(State())

    func fire() {
        let waiter = state.withLockedValue { state in
            state.fired = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Waits for ``fire()``, the deadline or cancellation.
    func wait(until deadline: ContinuousClock.Instant) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                try? await Task.sleep(until: deadline, clock: .continuous)
                self.fire()
            }
            await withCheckedContinuation { continuation in
                let fired = state.withLockedValue { state in
                    if !state.fired { state.waiter = continuation }
                    return state.fired
                }
                if fired { continuation.resume() }
            }
            group.cancelAll()
        }
    }
}
