// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization

/// The signs of life that an agent gives its supervisor: a byte on a pipe, for as long as tasks get on.
public enum Pulse {
    /// The pipe's descriptor in the agent.
    public static let descriptor: Int32 = 3
    /// A fifth of the least limit of a watchdog.
    static let period = 0.2

    /// Gives them from now on. Where the supervisor is gone, the agent ends as by SIGTERM.
    public static func begin() {
        signal(SIGPIPE, SIG_IGN)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        let beats = Beats()
        Thread.detachNewThread {
            var seen: UInt64 = 0
            while true {
                // Whether the pool that runs everything takes a task and gets to its end.
                Task { beats.count.wrappingAdd(1, ordering: .relaxed) }
                Thread.sleep(forTimeInterval: period)
                let now = beats.count.load(ordering: .relaxed)
                guard now != seen else { continue }
                seen = now
                var byte: UInt8 = 0
                if write(descriptor, &byte, 1) < 0, errno == EPIPE {
                    kill(getpid(), SIGTERM)
                    return
                }
            }
        }
    }

    private final class Beats: Sendable {
        let count = Atomic<UInt64>(0)
    }
}
