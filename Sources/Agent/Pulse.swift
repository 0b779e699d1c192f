// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOConcurrencyHelpers
import Synchronization

/// The signs of life that an agent gives its supervisor: a byte on a pipe for as long as ``LifeSigns`` finds any.
public final class Pulse: Sendable {
    /// The pipe's descriptor in the agent.
    public static let descriptor: Int32 = 3
    /// A fifth of the least limit of a watchdog.
    static let period = 0.2

    private let taskCount = Atomic<UInt64>(0)
    private let busyFor = NIOLockedValueBox<(@Sendable () -> Duration?)?>(nil)

    /// Gives them from now on. Where the supervisor is gone, the agent ends as by SIGTERM.
    public static func begin() -> Pulse {
        signal(SIGPIPE, SIG_IGN)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        let pulse = Pulse()
        Thread.detachNewThread { pulse.run() }
        return pulse
    }

    /// The agent has started: from here on mounts are looked at as well.
    ///
    /// - Parameter busyFor: for how long no thread of some mount has come to an end with its request; nil where that is
    ///   so of none.
    func watch(_ busyFor: @escaping @Sendable () -> Duration?) { self.busyFor.withLockedValue { $0 = busyFor } }

    private func run() {
        let begin = ContinuousClock.now
        var signs = LifeSigns()
        while true {
            let busyFor = busyFor.withLockedValue { $0 }
            let look = LifeSigns.Look(
                age: ContinuousClock.now - begin,
                hasStarted: busyFor != nil,
                tasks: taskCount.load(ordering: .relaxed),
                mountBusyFor: busyFor?()
            )
            if signs.isAlive(look) {
                var byte: UInt8 = 0
                if write(Pulse.descriptor, &byte, 1) < 0, errno == EPIPE {
                    kill(getpid(), SIGTERM)
                    return
                }
            }
            // Whether the pool that runs everything takes a task and gets to its end.
            Task { taskCount.wrappingAdd(1, ordering: .relaxed) }
            Thread.sleep(forTimeInterval: Pulse.period)
        }
    }
}
