// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc
import NIOConcurrencyHelpers

/// What a session on a held mount has besides the others': the predecessor's requests, and the memory of its own.
final class HeldSession: Sendable {
    /// What kernel and agent agreed on at INIT, and a successor must agree on as well.
    private static let agreementFields = 3
    /// Requests that need no answer, or are the session's own.
    private static let unanswered: Set<UInt32> = [26, 36, 38]  // INIT, INTERRUPT, DESTROY
    /// FORGET and BATCH_FORGET: done at most once, because one that is lost costs a little memory and one that is
    /// repeated a name.
    private static let forgetting: Set<UInt32> = [2, 42]

    let mount: HeldMount
    let requests: RequestMemory
    let notifier: Notifier
    /// For inodes, which no directory's lock concerns: a name's notice may wait for a look-up that waits for an inode's.
    let inodeNotifier: Notifier
    private let inherited = NIOLockedValueBox<[RequestMemory.Inherited]>([])

    init(_ mount: HeldMount) {
        self.mount = mount
        requests = RequestMemory(mount.memory)
        notifier = Notifier(device: mount.device)
        inodeNotifier = Notifier(device: mount.device)
    }

    /// Returns whether the kernel had heard everything.
    func stopNotifiers(milliseconds: Int) -> Bool {
        let isTold = notifier.stop(milliseconds: milliseconds)
        return inodeNotifier.stop(milliseconds: milliseconds) && isTold
    }

    /// Ends the process where another one has the mount: whatever this one did from here on would be done twice.
    func fence() {
        guard requests.epoch != mount.epoch else { return }
        let line = "larder: another agent has the mount by now: this one ends\n"
        _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
        _exit(75)
    }

    /// Remembers, or compares with, what was agreed on.
    func agree(_ connection: fuse_conn_info) -> Bool {
        let values = [UInt64(connection.want), UInt64(connection.max_write), UInt64(connection.time_gran)]
        let at = { (index: Int) in RequestMemory.Field.agreement + 8 * (index + 1) }
        guard mount.memory.load(RequestMemory.Field.agreement) == 0 else {
            return values.indices.allSatisfy { mount.memory.load(at($0)) == values[$0] }
        }
        for (index, value) in values.enumerated() { mount.memory.store(value, at(index)) }
        mount.memory.store(1, RequestMemory.Field.agreement)
        return true
    }

    /// What the predecessor left: the kernel is asked to send it again, or it is kept for the first thread.
    func recover() {
        let found = requests.inherited()
        if mount.recovery == .resend, resend() {
            requests.keepNotes(of: found)
        } else {
            inherited.withLockedValue { $0 = found }
        }
        requests.findFree()
    }

    /// `fuse_out_header{len 16, error FUSE_NOTIFY_RESEND, unique 0}`: Linux 6.9; others answer EINVAL.
    private func resend() -> Bool {
        guard requests.savedInit != nil else { return false }
        let message: [UInt32] = [16, 7, 0, 0]
        return write(mount.device, message, 16) == 16
    }

    /// The thread's first slot, and on the first thread the requests that were found.
    func begin(_ worker: UnsafeMutablePointer<cfuse_worker>) {
        take(worker)
        let found = inherited.withLockedValue { inherited in
            defer { inherited = [] }
            return inherited
        }
        worker.pointee.inherited = 1
        for request in found {
            guard !HeldSession.unanswered.contains(request.opcode) else {
                requests.release(request.head)
                continue
            }
            requests.adopt(request, into: worker.pointee.slot)
            worker.pointee.request.size = request.bytes.count
            process(worker)
        }
        worker.pointee.inherited = 0
    }

    private func take(_ worker: UnsafeMutablePointer<cfuse_worker>) {
        let slot = requests.takeSlot()
        worker.pointee.slot = slot
        worker.pointee.request.mem = requests.data(ofSlot: slot).baseAddress
    }

    /// A request that was read into the worker's slot.
    func serve(_ worker: UnsafeMutablePointer<cfuse_worker>) {
        let bytes = requests.data(ofSlot: worker.pointee.slot)
        requests.begin(worker.pointee.slot, unique: bytes.load(fromByteOffset: 8, as: UInt64.self))
        process(worker)
    }

    private func process(_ worker: UnsafeMutablePointer<cfuse_worker>) {
        fence()
        let slot = worker.pointee.slot
        let bytes = requests.data(ofSlot: slot)
        let opcode = bytes.load(fromByteOffset: 4, as: UInt32.self)
        if opcode == 26 {
            requests.save(init: UnsafeRawBufferPointer(rebasing: bytes[..<worker.pointee.request.size]))
        }
        if HeldSession.forgetting.contains(opcode) {
            let head = RequestMemory.head(ofSlot: slot)
            mount.memory.store(0, head + RequestMemory.Head.state)
        }
        worker.pointee.deferred = 0
        fuse_session_process_buf(worker.pointee.session, &worker.pointee.request)
        if worker.pointee.deferred == 0 {
            requests.empty(slot)
            mount.memory.store(1, RequestMemory.head(ofSlot: slot) + RequestMemory.Head.state)
        } else if worker.pointee.deferred == 2 {
            take(worker)
        }
    }

    /// Keeps the worker's request for its answer. Returns where.
    func park(_ worker: UnsafeMutablePointer<cfuse_worker>) -> Int {
        let (head, isMoved) = requests.park(worker.pointee.slot)
        worker.pointee.deferred = isMoved ? 1 : 2
        return head
    }

    /// The worker's request: its number, and what is known of it.
    func origin(_ worker: UnsafeMutablePointer<cfuse_worker>) -> (UInt64, Replay?) {
        guard let memory = worker.pointee.request.mem else { return (0, nil) }
        let unique = memory.load(fromByteOffset: 8, as: UInt64.self)
        let plain = unique & ~RequestMemory.resentBit
        guard unique != plain || worker.pointee.inherited != 0 else { return (plain, nil) }
        return (plain, requests.replay(RequestMemory.head(ofSlot: worker.pointee.slot)))
    }
}

extension SessionCore {
    /// The request that this thread is at.
    func origin() -> (UInt64, Replay?) {
        guard let held, let worker else { return (0, nil) }
        return held.origin(worker)
    }

    /// Keeps a number with the request that this thread is at.
    func note(_ value: UInt64) {
        guard let held, let worker else { return }
        held.requests.note(value, worker.pointee.slot)
    }

    /// The request that this thread is at has its outcome.
    func finished(_ outcome: Errno) {
        guard let held, let worker else { return }
        held.requests.finished(RequestMemory.head(ofSlot: worker.pointee.slot), outcome)
    }

    /// Attaches to a mount that a holder keeps, and agrees with libfuse on what a predecessor agreed on with the kernel.
    func attach(_ held: HeldSession) throws(FUSEError) {
        try held.requests.open()
        var arguments = fuse_args()
        defer { fuse_opt_free_args(&arguments) }
        fuse_opt_add_arg(&arguments, "larder")
        var table = Callbacks.table()
        let core = Unmanaged.passUnretained(self).toOpaque()
        guard let session = fuse_session_new(&arguments, &table, MemoryLayout<fuse_lowlevel_ops>.size, core) else {
            throw FUSEError(.mount, "\(mountPoint): libfuse refuses a session")
        }
        guard fuse_session_mount(session, "/dev/fd/\(held.mount.device)") == 0 else {
            fuse_session_destroy(session)
            throw FUSEError(.mount, "\(mountPoint): libfuse refuses the holder's descriptor")
        }
        if let request = held.requests.savedInit {
            // The kernel had its answer, and knows of no request of that number any more: it drops this one.
            var buffer = fuse_buf()
            buffer.size = request.count
            buffer.mem = request.baseAddress
            fuse_session_process_buf(session, &buffer)
            guard !lifecycle.withLock(\.profileRefused) else {
                fuse_session_destroy(session)
                throw FUSEError(
                    .profile,
                    "\(mountPoint) was mounted by a version that agreed with the kernel on other options: run that "
                        + "version, or stop the holder, which ends the mount"
                )
            }
            lifecycle.change { $0.initialised = true }
        }
        guard held.notifier.start(), held.inodeNotifier.start() else {
            fuse_session_destroy(session)
            throw FUSEError(.threads, "\(mountPoint): a thread could not be started; raise the limit on processes")
        }
        held.recover()
        self.session = session
    }

    /// Leaves the mount as it is to a successor: no request is read any more, those under way have some time.
    func leave(_ session: OpaquePointer) {
        for worker in workers { pthread_cancel(worker.pointee.thread) }
        for worker in workers { pthread_join(worker.pointee.thread, nil) }
        let isAnswered = pending.leave(milliseconds: SessionCore.leaveLimit)
        let isTold = held?.stopNotifiers(milliseconds: SessionCore.leaveLimit / 6) ?? true
        lifecycle.change {
            $0.closing = true
            $0.leftNothing = isAnswered && isTold
        }
    }

    /// Tells the kernel something, and waits until it has heard it.
    func notify(ofInode: Bool = false, _ body: @escaping @Sendable (SessionCore) -> Void) {
        guard let held else { return body(self) }
        (ofInode ? held.inodeNotifier : held.notifier).perform { [self] in body(self) }
    }
}
