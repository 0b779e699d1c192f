// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// Callbacks for open files and directories.
extension Callbacks {
    static func addFiles(_ table: inout fuse_lowlevel_ops) {
        table.open = { pointer, inode, file in
            Callbacks.with(pointer) { $0.operations.open($1, inode: inode, flags: file?.pointee.flags ?? 0, reply: $2) }
        }
        table.create = { pointer, parent, name, mode, file in
            let flags = file?.pointee.flags ?? 0
            Callbacks.with(pointer, name: name) {
                $0.create($1, parent: parent, name: $2, mode: mode, flags: flags, reply: $3)
            }
        }
        table.flush = { pointer, inode, file in
            Callbacks.with(pointer) { $0.operations.flush($1, inode: inode, handle: file?.pointee.fh ?? 0, reply: $2) }
        }
        table.release = { pointer, inode, file in
            let (handle, flags) = (file?.pointee.fh ?? 0, file?.pointee.flags ?? 0)
            Callbacks.with(pointer) { $0.operations.release($1, inode: inode, handle: handle, flags: flags, reply: $2) }
        }
        table.fsync = { pointer, inode, dataOnly, file in
            let handle = file?.pointee.fh ?? 0
            Callbacks.with(pointer) {
                $0.operations.sync($1, inode: inode, handle: handle, dataOnly: dataOnly != 0, reply: $2)
            }
        }
        addData(&table)
    }

    private static func addData(_ table: inout fuse_lowlevel_ops) {
        table.read = { pointer, inode, size, offset, file in
            let handle = file?.pointee.fh ?? 0
            Callbacks.with(pointer) {
                guard let buffer = $0.replyBuffer(size) else { return $2.error(.io) }
                $0.operations.read(
                    $1, inode: inode, handle: handle, offset: UInt64(offset), buffer: buffer, reply: $2)
            }
        }
        table.write = { pointer, inode, bytes, size, offset, file in
            let handle = file?.pointee.fh ?? 0
            Callbacks.with(pointer) {
                let bytes = UnsafeRawBufferPointer(start: bytes, count: size)
                $0.operations.write(
                    $1, inode: inode, handle: handle, offset: UInt64(offset), bytes: bytes, reply: $2)
            }
        }
        table.fallocate = { pointer, inode, mode, offset, length, file in
            let handle = file?.pointee.fh ?? 0
            Callbacks.with(pointer) {
                $0.operations.allocate(
                    $1, inode: inode, handle: handle, mode: mode, offset: UInt64(offset), length: UInt64(length),
                    reply: $2)
            }
        }
        table.lseek = { pointer, inode, offset, whence, file in
            let handle = file?.pointee.fh ?? 0
            Callbacks.with(pointer) {
                guard offset >= 0 else { return $2.error(.noAddress) }
                $0.operations.seek(
                    $1, inode: inode, handle: handle, offset: UInt64(offset), whence: whence, reply: $2)
            }
        }
    }

    static func addDirectories(_ table: inout fuse_lowlevel_ops) {
        table.opendir = { pointer, inode, file in
            let flags = file?.pointee.flags ?? 0
            Callbacks.with(pointer) { $0.operations.openDirectory($1, inode: inode, flags: flags, reply: $2) }
        }
        table.readdir = { pointer, inode, size, offset, file in
            Callbacks.list(pointer, inode, size, offset, file?.pointee.fh ?? 0, plus: false)
        }
        table.readdirplus = { pointer, inode, size, offset, file in
            Callbacks.list(pointer, inode, size, offset, file?.pointee.fh ?? 0, plus: true)
        }
        table.releasedir = { pointer, inode, file in
            let handle = file?.pointee.fh ?? 0
            Callbacks.with(pointer) { $0.operations.releaseDirectory($1, inode: inode, handle: handle, reply: $2) }
        }
        table.fsyncdir = { pointer, inode, _, file in
            let handle = file?.pointee.fh ?? 0
            Callbacks.with(pointer) { $0.operations.syncDirectory($1, inode: inode, handle: handle, reply: $2) }
        }
    }

    private static func list(
        _ pointer: OpaquePointer?, _ inode: UInt64, _ size: Int, _ offset: off_t, _ handle: UInt64, plus: Bool
    ) {
        Callbacks.with(pointer) {
            guard let buffer = $0.directoryBuffer(size, plus: plus) else { return $2.error(.io) }
            $0.operations.readDirectory(
                $1, inode: inode, handle: handle, offset: UInt64(bitPattern: Int64(offset)), plus: plus,
                buffer: buffer, reply: $2)
        }
    }
}
