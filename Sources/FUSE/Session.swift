// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// A mounted file system and the threads that serve it. It is for one mount; dropping it unmounts.
public final class Session: Sendable {
    private let core: SessionCore

    /// - Parameter mountPoint: an absolute path to a directory.
    /// - Throws: `.mountPoint`, `.stale`.
    public init(
        mountPoint: String,
        options: SessionOptions = SessionOptions(),
        operations: any Operations
    ) throws(FUSEError) {
        let path = try Session.canonical(mountPoint)
        core = SessionCore(mountPoint: path, options: options, operations: operations, held: nil)
    }

    /// A session on a mount that a holder keeps.
    ///
    /// - Parameter mountPoint: as the holder mounted it. It is not looked at: nobody would answer yet.
    public init(held: HeldMount, mountPoint: String, options: SessionOptions, operations: any Operations) {
        core = SessionCore(mountPoint: mountPoint, options: options, operations: operations, held: held)
    }

    deinit {
        // The thread that this wakes does the rest and holds what it needs.
        core.lifecycle.change { $0.endRequested = true }
    }

    /// Where it is mounted, without symbolic links.
    public var mountPoint: String { core.mountPoint }

    /// Mounts and serves; returns when the kernel is ready for requests.
    /// - Throws: `.deviceMissing`, `.notPermitted`, `.mount`, `.threads`, `.alreadyMounted`.
    public func mount() throws(FUSEError) {
        try core.start()
    }

    /// Unmounts, ends the threads and cancels pending tasks; returns when all of it is done. Blocks: not for the
    /// cooperative pool. Called from within an operation it only starts the end.
    public func stop() {
        let mounted = core.lifecycle.change { lifecycle in
            lifecycle.endRequested = true
            return lifecycle.mounted
        }
        if !mounted || core.worker != nil { return }
        core.lifecycle.wait(until: \.ended)
    }

    /// Ends the threads and leaves the mount, which a holder keeps, to a successor. Blocks for two seconds at most.
    ///
    /// - Returns: whether every request that was read is answered. The others are the successor's: what their tasks
    ///   still do goes nowhere, and the process is to end at once.
    public func leave() -> Bool {
        let mounted = core.lifecycle.change { lifecycle in
            lifecycle.leaving = true
            lifecycle.endRequested = true
            return lifecycle.mounted
        }
        guard mounted else { return true }
        core.lifecycle.wait(until: \.ended)
        return core.lifecycle.withLock(\.leftNothing)
    }

    /// Whether requests are served.
    public var isServing: Bool {
        core.lifecycle.withLock { $0.initialised && !$0.endRequested }
    }

    /// For how long every thread has been at one and the same request; nil where one waits for requests. What is at hand
    /// is answered within microseconds and what is not by a task, so one that is busy is so for moments only.
    public var busyFor: Duration? { core.busyFor() }

    /// Whether the kernel reads as far ahead as the options say; if sysfs is not writable it is 128 KiB.
    public var readAheadSet: Bool {
        core.lifecycle.withLock(\.readAheadSet)
    }

    /// Returns when the session has ended, by ``stop()`` or because somebody else unmounted or cut the connection; at
    /// once if it was not mounted. Also returns when the task is cancelled.
    public func waitUntilEnded() async {
        let core = core
        let number = core.lifecycle.withLock { lifecycle in
            lifecycle.waiterCount += 1
            return lifecycle.waiterCount
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let over = core.lifecycle.withLock { lifecycle in
                    if !lifecycle.mounted || lifecycle.ended || Task.isCancelled { return true }
                    lifecycle.waiters[number] = continuation
                    return false
                }
                if over { continuation.resume() }
            }
        } onCancel: {
            core.lifecycle.withLock { $0.waiters.removeValue(forKey: number) }?.resume()
        }
    }

    /// The kernel forgets what the name leads to: the next use of it is a lookup. Waits for requests about names in the
    /// directory that are under way: not to be called by what they wait for.
    public func invalidate(parent: UInt64, name: String) {
        // An error says that the kernel does not know the name, which is as good.
        core.notify { core in
            _ = core.withSession { session in
                name.withCString { fuse_lowlevel_notify_inval_entry(session, parent, $0, strlen($0)) }
            }
        }
    }

    /// The kernel forgets the attributes and the data of the inode. Waits for reads of it that are under way: not to be
    /// called by what they wait for.
    public func invalidate(inode: UInt64) {
        core.notify(ofInode: true) { core in
            _ = core.withSession { fuse_lowlevel_notify_inval_inode($0, inode, 0, 0) }
        }
    }

    private static func canonical(_ path: String) throws(FUSEError) -> String {
        guard path.hasPrefix("/") else {
            throw FUSEError(.mountPoint, "\(path) is not an absolute path: give the mount point as one")
        }
        var status = stat()
        if stat(path, &status) != 0 {
            let cause = Errno(rawValue: errno)
            if cause == .notConnected {
                throw FUSEError(.stale, "\(path) is a mount whose server is gone: unmount it first", cause: cause)
            }
            throw FUSEError(.mountPoint, "\(path) is not usable as a mount point: create the directory", cause: cause)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw FUSEError(.mountPoint, "\(path) is not a directory: mount on one")
        }
        guard let resolved = realpath(path, nil) else {
            throw FUSEError(.mountPoint, "\(path) cannot be resolved", cause: Errno(rawValue: errno))
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
