// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Synchronization

/// The parent of an agent: starts it again when it dies, and kills it when it lives but does not answer.
///
/// It does nothing else, so that nothing can happen to it. SIGTERM and SIGINT are passed on. SIGUSR2 starts the program
/// that is at its path now beside the one that runs, which hands over and leaves.
public final class Supervisor {
    /// How long the first sign of life may take where the watchdog's limit is shorter: it is given before anything else
    /// is done, but by a program that a cold disk has to read first.
    private static let firstSignLimit: UInt64 = 15_000
    /// How long an agent may take to end: more than its own limit.
    private static let endLimit: UInt64 = 25_000
    /// How often limits are looked at.
    private static let tick: Int32 = 100

    /// How often, and with which pause in microseconds, the status of a child that ended is asked for.
    private static let reapTries = 50
    private static let reapPause: UInt32 = 1000

    private struct Child {
        let pid: pid_t
        /// Signs of life; its end is the child's.
        let pulse: Int32
        let begin: UInt64
        var lastPulse: UInt64?
        var isKilled = false
    }

    private let program: String
    private let arguments: [String]
    private let watchdog: UInt64
    private let log: (String) -> Void
    private var children: [Child] = []
    private var policy = RestartPolicy()
    private var startAt: UInt64?
    private var killAt: UInt64?
    private var status: Int32 = 0
    private var unreaped: Set<pid_t> = []

    /// - Parameters:
    ///   - program: the path of the agent's program.
    ///   - arguments: what it is called with, without its name.
    ///   - watchdog: milliseconds without a sign of life after which it is killed.
    public init(program: String, arguments: [String], watchdog: UInt64, log: @escaping (String) -> Void) {
        self.program = program
        self.arguments = arguments
        self.watchdog = watchdog
        self.log = log
    }

    /// Runs until the agent ended on SIGTERM or SIGINT, or cannot be started. Returns its status.
    public func run() -> Int32 {
        let wanted = Wanted()
        let sources = [SIGTERM, SIGINT, SIGUSR2].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { wanted.received(number) }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        start(replacing: false)
        while true {
            if wanted.end.load(ordering: .relaxed) {
                if children.isEmpty { return status }
                end()
            } else if wanted.upgrade.exchange(false, ordering: .relaxed) {
                log("starting \(program) beside the agent that runs")
                start(replacing: true)
            } else if let at = startAt, now() >= at {
                startAt = nil
                start(replacing: false)
            }
            watch()
            if children.isEmpty, startAt == nil { return status }
        }
    }

    private func watch() {
        var polled = children.map { pollfd(fd: $0.pulse, events: Int16(POLLIN), revents: 0) }
        poll(&polled, nfds_t(polled.count), Supervisor.tick)
        for (child, status) in zip(children, polled) where status.revents != 0 {
            var bytes: UInt64 = 0
            if read(child.pulse, &bytes, 8) > 0 {
                for index in children.indices where children[index].pid == child.pid {
                    children[index].lastPulse = now()
                }
            } else {
                ended(child)
            }
        }
        for pid in unreaped {
            var raw: Int32 = 0
            if waitpid(pid, &raw, WNOHANG) != 0 { unreaped.remove(pid) }
        }
        for (index, child) in children.enumerated() where killAt == nil && !child.isKilled {
            let silence = now() - (child.lastPulse ?? child.begin)
            guard silence > (child.lastPulse == nil ? max(watchdog, Supervisor.firstSignLimit) : watchdog) else {
                continue
            }
            log("process \(child.pid) does not answer for \(silence) ms and is killed")
            children[index].isKilled = true
            kill(child.pid, SIGKILL)
        }
    }

    /// The child's pulse ended, so it is dead, although the kernel may hold one of its threads a little longer: that is
    /// not waited for.
    private func ended(_ child: Child) {
        close(child.pulse)
        children.removeAll { $0.pid == child.pid }
        status = 128 + SIGKILL
        for _ in 0..<Supervisor.reapTries {
            if reap(child.pid) { break }
            usleep(Supervisor.reapPause)
        }
        guard killAt == nil, children.isEmpty else { return }
        switch policy.ended(status: status, lived: now() - child.begin) {
        case .end: log("process \(child.pid) ended with status \(status): it is not started again")
        case .start(let pause):
            log("process \(child.pid) ended with status \(status): another starts in \(pause) ms")
            startAt = now() + pause
            if pause == 0 {
                startAt = nil
                start(replacing: false)
            }
        }
    }

    /// Takes a dead child's status. False where the kernel does not give it yet.
    private func reap(_ pid: pid_t) -> Bool {
        var raw: Int32 = 0
        guard waitpid(pid, &raw, WNOHANG) == pid else {
            unreaped.insert(pid)
            return false
        }
        unreaped.remove(pid)
        let number = raw & 0x7f
        status = number == 0 ? raw >> 8 & 0xff : 128 + number
        return true
    }

    private func end() {
        guard let at = killAt else {
            killAt = now() + Supervisor.endLimit
            for child in children { kill(child.pid, SIGTERM) }
            return
        }
        if now() >= at { for child in children { kill(child.pid, SIGKILL) } }
    }

    /// The child's descriptor 3 is the pulse.
    private func start(replacing: Bool) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return failed() }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], Pulse.descriptor)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (all, none) = (sigset_t(), sigset_t())
        sigfillset(&all)
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        let words = [program] + arguments + ["--pulse"] + (replacing ? ["--replace"] : [])
        var pointers = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var pid = pid_t()
        let result = posix_spawn(&pid, program, &actions, &attributes, &pointers, environ)
        close(ends[1])
        guard result == 0 else {
            close(ends[0])
            log("'\(program)' cannot be started: \(String(cString: strerror(result)))")
            return failed()
        }
        children.append(Child(pid: pid, pulse: ends[0], begin: now()))
    }

    private func failed() {
        guard children.isEmpty else { return }
        status = 1
        startAt = now() + RestartPolicy.pauseMax
    }

    private func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds / 1_000_000 }
}

/// What signals asked for.
private final class Wanted: Sendable {
    let end = Atomic(false)
    let upgrade = Atomic(false)

    func received(_ number: Int32) {
        if number == SIGUSR2 {
            upgrade.store(true, ordering: .relaxed)
        } else {
            end.store(true, ordering: .relaxed)
        }
    }
}
