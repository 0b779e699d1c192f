// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// What tasks wait in front of until it is opened or they are cancelled.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var number = 0
        var waiters: [Int: CheckedContinuation<Bool, Never>] = [:]
    }

    private let state = NIOLockedValueBox(State())

    /// True when the gate is open, false when the task was cancelled first.
    func pass() async -> Bool {
        let number = state.withLockedValue { state in
            state.number += 1
            return state.number
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLockedValue { state in
                    if state.isOpen { return true }
                    if Task.isCancelled { return false }
                    state.waiters[number] = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            state.withLockedValue { $0.waiters.removeValue(forKey: number) }?.resume(returning: false)
        }
    }

    func open() {
        let waiters = state.withLockedValue { state in
            state.isOpen = true
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: true) }
    }
}

/// A number that grows, and that tests wait for.
final class Counter: Sendable {
    private struct State {
        var count = 0
        var waiters: [(Int, CheckedContinuation<Void, Never>)] = []
    }

    private let state = NIOLockedValueBox(State())

    var value: Int { state.withLockedValue(\.count) }

    func add(_ number: Int = 1) {
        let reached = state.withLockedValue { state in
            state.count += number
            let count = state.count
            defer { state.waiters.removeAll { $0.0 <= count } }
            return state.waiters.filter { $0.0 <= count }
        }
        for (_, waiter) in reached { waiter.resume() }
    }

    func reach(_ number: Int) async {
        await withCheckedContinuation { continuation in
            let reached = state.withLockedValue { state in
                if state.count >= number { return true }
                state.waiters.append((number, continuation))
                return false
            }
            if reached { continuation.resume() }
        }
    }
}
