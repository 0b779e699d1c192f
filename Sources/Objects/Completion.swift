// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// The end of something that any number of tasks wait for. Whoever begins it completes it, however it ends.
final class Completion: Sendable {
    private struct State {
        var isComplete = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        /// Waiters that were cancelled before their continuation was there.
        var cancelled: Set<UInt64> = []
        var next: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())

    func complete() {
        let waiters = state.withLockedValue { state in
            state.isComplete = true
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns at the end, or when the task is cancelled.
    func wait() async {
        let waiter = state.withLockedValue { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLockedValue { state in
                    if state.isComplete || state.cancelled.remove(waiter) != nil { return true }
                    state.waiters[waiter] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let continuation = state.withLockedValue { state in
                let continuation = state.waiters.removeValue(forKey: waiter)
                if continuation == nil, !state.isComplete { state.cancelled.insert(waiter) }
                return continuation
            }
            continuation?.resume()
        }
    }
}
