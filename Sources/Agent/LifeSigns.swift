// SPDX-License-Identifier: Apache-2.0

/// Whether an agent lives: its tasks get on, and its mounts come to an end with requests.
///
/// One that is merely busy does both. A thread of a mount answers what is at hand and hands everything else to a task,
/// so it is at one request for microseconds, or for as long as the disk takes for a read. Only where every thread of a
/// mount has been at one and the same request for ``mountLimit`` does nothing of it move any more.
public struct LifeSigns: Sendable {
    /// More than the 30 s that Linux gives a disk for one command by default, and half of what a holder keeps requests
    /// for: a disk that hangs is no reason to end an agent, and a successor still answers everybody who waits.
    public static let mountLimit = Duration.seconds(35)
    /// How long a start may hold the tasks up, where the node has one core: the recovery of a large store.
    public static let startLimit = Duration.seconds(60)

    /// What is seen at one time.
    public struct Look: Sendable {
        /// Since the process began.
        public var age: Duration
        /// The parts run.
        public var hasStarted: Bool
        /// Tasks that came to their end so far.
        public var tasks: UInt64
        /// For how long no thread of some mount has come to an end with its request; nil where that is so of none.
        public var mountBusyFor: Duration?

        public init(age: Duration, hasStarted: Bool, tasks: UInt64, mountBusyFor: Duration?) {
            self.age = age
            self.hasStarted = hasStarted
            self.tasks = tasks
            self.mountBusyFor = mountBusyFor
        }
    }

    private var tasks: UInt64 = 0

    public init() {}

    /// Whether there was a sign of life since the last look.
    public mutating func isAlive(_ look: Look) -> Bool {
        defer { tasks = look.tasks }
        if let busy = look.mountBusyFor, busy > LifeSigns.mountLimit { return false }
        if look.tasks != tasks { return true }
        return !look.hasStarted && look.age < LifeSigns.startLimit
    }
}
