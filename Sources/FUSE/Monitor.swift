// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// A value that threads change one at a time and wait for.
final class Monitor<State>: @unchecked Sendable {
    // Safety: `state` is touched only with `mutex` held; both primitives live at fixed addresses until deinit.
    private var state: State
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>

    init(_ state: State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        changed = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Wakes nobody: for changes that no condition depends on.
    func withLock<Result>(_ body: (inout State) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&state)
    }

    /// Changes the state and has every waiting thread look at it.
    func change<Result>(_ body: (inout State) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let result = body(&state)
        pthread_cond_broadcast(changed)
        return result
    }

    /// Blocks the thread until the condition holds, at most for so many milliseconds. Returns whether it holds.
    func wait(milliseconds: Int, until condition: (State) -> Bool) -> Bool {
        var limit = timespec()
        clock_gettime(CLOCK_REALTIME, &limit)
        limit.tv_sec += milliseconds / 1000
        limit.tv_nsec += milliseconds % 1000 * 1_000_000
        if limit.tv_nsec >= 1_000_000_000 {
            limit.tv_sec += 1
            limit.tv_nsec -= 1_000_000_000
        }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !condition(state) {
            if pthread_cond_timedwait(changed, mutex, &limit) != 0 { return condition(state) }
        }
        return true
    }

    /// Blocks the thread until the condition holds.
    func wait(until condition: (State) -> Bool) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !condition(state) {
            pthread_cond_wait(changed, mutex)
        }
    }
}
