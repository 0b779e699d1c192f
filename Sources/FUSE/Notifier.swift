// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// The thread that tells the kernel what it is to forget, on a mount that a holder keeps.
///
/// The kernel takes a directory's lock for it, and does not let the thread go before it has it, not even when the
/// process is killed. Who holds the lock may wait for an answer that only a successor can give. So the thread has none
/// of the process's descriptors but the device: the store's lock and the holder's connection end with all the others.
final class Notifier: Sendable {
    private struct State {
        var jobs: [(number: UInt64, body: @Sendable () -> Void)] = []
        var given: UInt64 = 0
        var done: UInt64 = 0
        var isOver = false
    }

    private let state = Monitor(State())
    private let device: Int32

    init(device: Int32) { self.device = device }

    /// Returns false where there is no thread to be had.
    func start() -> Bool {
        var thread = pthread_t()
        let own = Unmanaged.passRetained(self)
        let started = pthread_create(
            &thread, nil,
            { own in
                guard let own else { return nil }
                Unmanaged<Notifier>.fromOpaque(own).takeRetainedValue().run()
                return nil
            }, own.toOpaque())
        if started != 0 {
            own.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    private func run() {
        _ = cfuse_keep_only(device)
        while true {
            state.wait { !$0.jobs.isEmpty || $0.isOver }
            guard let job = state.withLock({ $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }) else { return }
            job.body()
            state.change { $0.done = job.number }
        }
    }

    /// Has the thread do something, and waits until it is done: a wait that a kill ends.
    func perform(_ body: @escaping @Sendable () -> Void) {
        let number = state.change { state in
            state.given += 1
            state.jobs.append((state.given, body))
            return state.given
        }
        state.wait { $0.done >= number || $0.isOver }
    }

    /// Does what was given, and nothing more. Returns false where the kernel holds the thread for longer.
    func stop(milliseconds: Int) -> Bool {
        let isIdle = state.wait(milliseconds: milliseconds) { $0.done == $0.given }
        state.change { state in
            state.isOver = true
            state.jobs = []
        }
        return isIdle
    }
}
