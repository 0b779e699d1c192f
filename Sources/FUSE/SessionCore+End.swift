// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

extension SessionCore {
    /// The thread that waits for the end and makes it.
    func supervise() {
        lifecycle.wait(until: \.endRequested)
        end()
    }

    /// Unmounts if that has not happened, ends the threads, answers what is pending, and frees everything.
    func end() {
        lifecycle.change { $0.endRequested = true }
        guard let session else { return finish() }
        if lifecycle.withLock(\.leaving) {
            leave(session)
            // What the kernel still holds would use the session: the process ends with it.
            guard lifecycle.withLock({ $0.users == 0 }) else { return finish() }
            return destroy(session)
        }
        unmount()
        // The threads serve on until nobody waits for them: a notification can wait in the kernel for a lookup, and the
        // lookup for its answer.
        lifecycle.change { $0.closing = true }
        pending.close(.notConnected)
        lifecycle.wait { $0.users == 0 }
        fuse_session_exit(session)
        if !isDisconnected(session) {
            // Another mount namespace has the mount too: no thread sees the end of the connection.
            for worker in workers { pthread_cancel(worker.pointee.thread) }
        }
        for worker in workers { pthread_join(worker.pointee.thread, nil) }
        // Only closes the device then. Otherwise it would unmount whatever is at the path now.
        if isDisconnected(session) { fuse_session_unmount(session) }
        _ = held?.stopNotifiers(milliseconds: SessionCore.leaveLimit)
        destroy(session)
    }

    private func destroy(_ session: OpaquePointer) {
        fuse_session_destroy(session)
        self.session = nil
        for worker in workers { free(worker) }
        workers = []
        finish()
    }

    /// Tells everybody who waits for the end.
    func finish() {
        let waiters = lifecycle.change { lifecycle in
            lifecycle.endRequested = true
            lifecycle.closing = true
            lifecycle.ended = true
            defer { lifecycle.waiters = [:] }
            return Array(lifecycle.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    private func isDisconnected(_ session: OpaquePointer) -> Bool {
        var status = pollfd(fd: fuse_session_fd(session), events: 0, revents: 0)
        return poll(&status, 1, 0) == 1 && status.revents & Int16(POLLERR) != 0
    }

    /// Takes the mount away while the threads still serve: what was closed before is written and released in order. If
    /// files are open the connection is cut, which fails what waits for it.
    private func unmount() {
        guard let device, MountTable.entries(at: mountPoint).last?.device == device else { return }
        if lifecycle.withLock({ $0.initialised && !$0.cut }) {
            // Closed files are released in the background, and unmounting drops what no thread has taken of that. The
            // kernel's queue is in order: once this is answered, which the callback does by itself, they have.
            var space = statvfs()
            _ = statvfs(mountPoint, &space)
        }
        let noFollow = Int32(UMOUNT_NOFOLLOW)
        if umount2(mountPoint, noFollow) == 0 || errno != EBUSY { return }
        _ = umount2(mountPoint, noFollow | Int32(MNT_FORCE) | Int32(MNT_DETACH))
    }
}
