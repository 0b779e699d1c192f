// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// What libfuse calls for each request: every callback finds the session's core, says who asks, and calls the method.
enum Callbacks {
    static func table() -> fuse_lowlevel_ops {
        var table = fuse_lowlevel_ops()
        addSession(&table)
        addNames(&table)
        addFiles(&table)
        addDirectories(&table)
        addExtendedAttributes(&table)
        return table
    }

    @inline(__always)
    static func with(
        _ pointer: OpaquePointer?,
        limit: Int = 0,
        _ body: (SessionCore, Request, consuming Reply) -> Void
    ) {
        guard let pointer, let data = fuse_req_userdata(pointer) else { return }
        let core = Unmanaged<SessionCore>.fromOpaque(data)
        core._withUnsafeGuaranteedRef {
            body($0, Request(pointer, $0), Reply(KernelRequest(pointer: pointer), core: core, limit: limit))
        }
    }

    /// Refuses bytes that are not UTF-8.
    @inline(__always)
    static func with(
        _ pointer: OpaquePointer?,
        name: UnsafePointer<CChar>?,
        limit: Int = 0,
        _ body: (any Operations, Request, String, consuming Reply) -> Void
    ) {
        Callbacks.with(pointer, limit: limit) { core, request, reply in
            guard let name, let name = String(validatingCString: name) else { return reply.error(.illegalSequence) }
            body(core.operations, request, name, reply)
        }
    }

    private static func addSession(_ table: inout fuse_lowlevel_ops) {
        table.`init` = { data, connection in
            guard let data, let connection else { return }
            Unmanaged<SessionCore>.fromOpaque(data)._withUnsafeGuaranteedRef { $0.negotiate(&connection.pointee) }
        }
        table.forget = { pointer, inode, count in
            guard let pointer, let data = fuse_req_userdata(pointer) else { return }
            Unmanaged<SessionCore>.fromOpaque(data)._withUnsafeGuaranteedRef {
                $0.operations.forget(inode: inode, count: count)
            }
            fuse_reply_none(pointer)
        }
        table.forget_multi = { pointer, count, list in
            guard let pointer, let data = fuse_req_userdata(pointer) else { return }
            Unmanaged<SessionCore>.fromOpaque(data)._withUnsafeGuaranteedRef { core in
                for item in UnsafeBufferPointer(start: list, count: count) {
                    core.operations.forget(inode: item.ino, count: item.nlookup)
                }
            }
            fuse_reply_none(pointer)
        }
        table.statfs = { pointer, inode in
            Callbacks.with(pointer) {
                // Then it may be the end's own question, and that must not wait for the file system.
                if $0.lifecycle.withLock(\.endRequested) { return $2.error(.notConnected) }
                $0.operations.statistics($1, inode: inode, reply: $2)
            }
        }
    }

    private static func addExtendedAttributes(_ table: inout fuse_lowlevel_ops) {
        table.getxattr = { pointer, inode, name, size in
            Callbacks.with(pointer, name: name, limit: size) {
                $0.getExtendedAttribute($1, inode: inode, name: $2, reply: $3)
            }
        }
        table.listxattr = { pointer, inode, size in
            Callbacks.with(pointer, limit: size) { $0.operations.listExtendedAttributes($1, inode: inode, reply: $2) }
        }
        table.setxattr = { pointer, inode, name, value, size, flags in
            Callbacks.with(pointer, name: name) {
                let value = Array(UnsafeRawBufferPointer(start: value, count: size))
                $0.setExtendedAttribute($1, inode: inode, name: $2, value: value, flags: flags, reply: $3)
            }
        }
        table.removexattr = { pointer, inode, name in
            Callbacks.with(pointer, name: name) { $0.removeExtendedAttribute($1, inode: inode, name: $2, reply: $3) }
        }
    }
}

extension Request {
    @inline(__always)
    fileprivate init(_ pointer: OpaquePointer, _ core: SessionCore) {
        let (unique, replay) = core.held == nil ? (0, nil) : core.origin()
        guard let context = fuse_req_ctx(pointer)?.pointee else {
            self.init(uid: 0, gid: 0, pid: 0, umask: 0, unique: unique, replay: replay)
            return
        }
        self.init(
            uid: context.uid, gid: context.gid, pid: context.pid, umask: context.umask, unique: unique, replay: replay)
    }
}
