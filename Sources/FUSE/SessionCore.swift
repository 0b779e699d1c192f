// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// What a session's threads, its pending replies and its owner share. libfuse has an unowned pointer to it; the thread
/// that ends the session holds it until libfuse's session is gone.
final class SessionCore: @unchecked Sendable {
    // Safety: `session`, `workers` and `device` are set before the first thread starts and taken down after the
    // last was joined, with `lifecycle` keeping everybody else out.
    struct Lifecycle {
        var mounted = false
        var initialised = false
        var endRequested = false
        /// A thread saw the connection end, or cannot read from it.
        var cut = false
        /// The mount is left to a successor.
        var leaving = false
        /// Nothing was left undone when it was.
        var leftNothing = false
        /// The kernel had agreed with another program on other things.
        var profileRefused = false
        /// No new use of libfuse's session from outside of its threads.
        var closing = false
        var ended = false
        var readAheadSet = false
        /// Every thread was started.
        var threadsStarted = false
        /// Calls from outside of the session's threads that are using libfuse's session.
        var users = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var waiterCount = 0
    }

    /// How long requests under way may take, in milliseconds, when the mount is left to a successor: callers of new
    /// ones wait meanwhile.
    static let leaveLimit = 1500

    let mountPoint: String
    let options: SessionOptions
    let operations: any Operations
    let pending = PendingReplies()
    let lifecycle = Monitor(Lifecycle())
    /// The session's threads find themselves under it; nil if the process has no more of these.
    let key: pthread_key_t?
    var session: OpaquePointer?
    var workers: [UnsafeMutablePointer<cfuse_worker>] = []
    var device: String?
    /// Where a holder keeps the mount.
    let held: HeldSession?

    init(mountPoint: String, options: SessionOptions, operations: any Operations, held: HeldMount?) {
        self.held = held.map { HeldSession($0) }
        self.mountPoint = mountPoint
        self.options = options
        self.operations = operations
        var key = pthread_key_t()
        self.key = pthread_key_create(&key, nil) == 0 ? key : nil
    }

    deinit {
        if let key { pthread_key_delete(key) }
    }

    /// The session's thread that this is.
    var worker: UnsafeMutablePointer<cfuse_worker>? {
        guard let key else { return nil }
        return pthread_getspecific(key)?.assumingMemoryBound(to: cfuse_worker.self)
    }

    /// The thread's own memory; nil if it is not as long.
    func replyBuffer(_ size: Int) -> UnsafeMutableRawBufferPointer? {
        guard let worker, size <= worker.pointee.reply_size else { return nil }
        return UnsafeMutableRawBufferPointer(start: worker.pointee.reply, count: size)
    }

    /// The thread's own listing, emptied.
    func directoryBuffer(_ size: Int, plus: Bool) -> DirectoryBuffer? {
        guard let directory = worker?.pointee.directory else { return nil }
        let buffer = Unmanaged<DirectoryBuffer>.fromOpaque(directory).takeUnretainedValue()
        buffer.reset(capacity: size, plus: plus)
        return buffer
    }

    /// INIT: what the kernel shall do.
    func negotiate(_ connection: inout fuse_conn_info) {
        // Left out on purpose: ATOMIC_O_TRUNC and WRITEBACK_CACHE (a truncation and a write are requests of their own,
        // in their order), AUTO_INVAL_DATA (what changes is invalidated explicitly), HANDLE_KILLPRIV (the kernel clears
        // setuid bits by a setattr), the locks (the kernel keeps them), and splice, which costs a pipe's two more
        // system calls a request.
        let wanted =
            FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO
            | FUSE_CAP_ASYNC_DIO | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA
        connection.want = UInt32(bitPattern: wanted) & connection.capable
        connection.max_write = UInt32(clamping: options.maxWrite)
        connection.max_readahead = min(connection.max_readahead, UInt32(clamping: options.maxReadAhead))
        connection.max_background = UInt32(clamping: options.maxBackground)
        connection.congestion_threshold = UInt32(clamping: options.congestionThreshold)
        connection.time_gran = 1
        if let held, !held.agree(connection) { lifecycle.withLock { $0.profileRefused = true } }
        worker?.pointee.initialised = 1
    }

    /// Starts the task that answers the request. The interrupt function is set before anybody could answer: libfuse
    /// calls it at once, on this thread and with the request locked, if the signal was there already.
    func answerLater(_ request: KernelRequest, limit: Int, _ body: @escaping @Sendable (PendingReply) async -> Void) {
        guard let token = pending.reserve() else {
            // More than PendingReplies.countMax wait already: the caller may come back.
            _ = request.error(.again)
            return
        }
        let interrupted: fuse_interrupt_func_t = { request, token in
            guard let request, let token, let data = fuse_req_userdata(request) else { return }
            Unmanaged<SessionCore>.fromOpaque(data)._withUnsafeGuaranteedRef {
                $0.pending.interrupt(PendingReplies.Token(token))
            }
        }
        fuse_req_interrupt_func(request.pointer, interrupted, token.pointer)
        let head = held.flatMap { held in worker.map { held.park($0) } }
        if !pending.fill(token, with: request, head: head) {
            // Left to a successor, or over: then nobody waits any more.
            if held == nil { _ = request.error(.notConnected) }
            return
        }
        let reply = PendingReply(core: self, token: token, limit: limit)
        let task = Task.immediate { await body(reply) }
        pending.attach(task, to: token)
    }

    /// For how long the thread that is free the soonest has been at its request; nil where one waits for requests.
    func busyFor() -> Duration? {
        guard lifecycle.withLock(\.threadsStarted) else { return nil }
        return withSession { _ -> Duration? in
            let now = cfuse_now()
            var least: UInt64 = .max
            for worker in workers {
                let since = cfuse_busy_since(worker)
                guard since != 0 else { return nil }
                least = min(least, now > since ? now - since : 0)
            }
            return workers.isEmpty ? nil : .nanoseconds(Int64(clamping: least))
        } ?? nil
    }

    /// Calls into libfuse's session from any thread; nil if there is none.
    func withSession<Result>(_ body: (OpaquePointer) -> Result) -> Result? {
        let entered = lifecycle.withLock { lifecycle in
            guard lifecycle.initialised, !lifecycle.closing else { return false }
            lifecycle.users += 1
            return true
        }
        guard entered, let session else { return nil }
        defer { lifecycle.change { $0.users -= 1 } }
        return body(session)
    }
}
