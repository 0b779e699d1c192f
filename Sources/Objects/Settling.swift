// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Peers

/// Keys whose last writer is closing, here or at a peer, and those who wait for what a key will name.
final class Settling: Sendable {
    /// How often a waiter looks whether a notice ran out.
    static let lookAgain = Duration.milliseconds(50)

    private struct State {
        var keys: [Key: Int] = [:]
        var waiters: [Key: [UInt64: Signal]] = [:]
        var next: UInt64 = 1
    }

    private let directory: Directory
    private let state = NIOLockedValueBox(State())

    init(directory: Directory) { self.directory = directory }

    func begin(_ key: Key) {
        state.withLockedValue { $0.keys[key, default: 0] += 1 }
        directory.announceSettling([key], settling: true)
    }

    func end(_ key: Key) {
        let waiters = state.withLockedValue { state -> [Signal]? in
            guard let count = state.keys[key] else { return nil }
            state.keys[key] = count > 1 ? count - 1 : nil
            guard count == 1 else { return nil }
            return state.waiters.removeValue(forKey: key).map { Array($0.values) } ?? []
        }
        // Others may still be closing it.
        guard let waiters else { return }
        directory.announceSettling([key], settling: false)
        for waiter in waiters { waiter.fire() }
    }

    func contains(_ key: Key) -> Bool {
        state.withLockedValue { $0.keys[key] != nil } || directory.isSettling(key)
    }

    /// Wakes those who wait for these keys.
    func changed(_ keys: [Key]) {
        let waiters = state.withLockedValue { state in
            keys.flatMap { key in state.waiters.removeValue(forKey: key).map { Array($0.values) } ?? [] }
        }
        for waiter in waiters { waiter.fire() }
    }

    /// Waits until `isOver`, which is asked again after each change of the key, says so, or the limit passes.
    func wait(for key: Key, limit: Duration, until isOver: @Sendable () -> Bool) async {
        let deadline = ContinuousClock.now + limit
        while !isOver(), ContinuousClock.now < deadline, !Task.isCancelled {
            await nextChange(of: key, before: deadline, unless: isOver)
        }
    }

    private func nextChange(
        of key: Key,
        before deadline: ContinuousClock.Instant,
        unless isOver: @Sendable () -> Bool
    ) async {
        let signal = Signal()
        let id = state.withLockedValue { state in
            defer { state.next += 1 }
            state.waiters[key, default: [:]][state.next] = signal
            return state.next
        }
        // Registered before it is asked: a change in between fires the signal.
        if isOver() { signal.fire() }
        // A peer's settling notice runs out without an event, so the end of it is looked for as well.
        await signal.wait(until: min(deadline, ContinuousClock.now + Settling.lookAgain))
        state.withLockedValue { state in
            state.waiters[key]?[id] = nil
            if state.waiters[key]?.isEmpty == true { state.waiters[key] = nil }
        }
    }
}
