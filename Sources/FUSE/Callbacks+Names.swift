// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// Callbacks for inodes and their names.
extension Callbacks {
    static func addNames(_ table: inout fuse_lowlevel_ops) {
        table.lookup = { pointer, parent, name in
            Callbacks.with(pointer, name: name) { $0.lookup($1, parent: parent, name: $2, reply: $3) }
        }
        table.getattr = { pointer, inode, file in
            let handle = file?.pointee.fh
            Callbacks.with(pointer) { $0.operations.getAttributes($1, inode: inode, handle: handle, reply: $2) }
        }
        table.setattr = { pointer, inode, status, fields, file in
            Callbacks.with(pointer) {
                guard let status else { return $2.error(.invalid) }
                let changes = AttributeChanges(status.pointee, fields)
                $0.operations.setAttributes($1, inode: inode, handle: file?.pointee.fh, changes: changes, reply: $2)
            }
        }
        table.access = { pointer, inode, mask in
            Callbacks.with(pointer) { $0.operations.access($1, inode: inode, mask: mask, reply: $2) }
        }
        table.readlink = { pointer, inode in
            Callbacks.with(pointer) { $0.operations.readLink($1, inode: inode, reply: $2) }
        }
        table.mkdir = { pointer, parent, name, mode in
            Callbacks.with(pointer, name: name) {
                $0.makeDirectory($1, parent: parent, name: $2, mode: mode, reply: $3)
            }
        }
        table.mknod = { pointer, parent, name, mode, _ in
            Callbacks.with(pointer, name: name) { $0.makeNode($1, parent: parent, name: $2, mode: mode, reply: $3) }
        }
        table.unlink = { pointer, parent, name in
            Callbacks.with(pointer, name: name) { $0.unlink($1, parent: parent, name: $2, reply: $3) }
        }
        table.rmdir = { pointer, parent, name in
            Callbacks.with(pointer, name: name) { $0.removeDirectory($1, parent: parent, name: $2, reply: $3) }
        }
        addTwoNames(&table)
    }

    private static func addTwoNames(_ table: inout fuse_lowlevel_ops) {
        table.symlink = { pointer, target, parent, name in
            Callbacks.with(pointer, name: name) {
                guard let target, let target = String(validatingCString: target) else {
                    return $3.error(.illegalSequence)
                }
                $0.symlink($1, parent: parent, name: $2, target: target, reply: $3)
            }
        }
        table.rename = { pointer, parent, name, newParent, newName, flags in
            Callbacks.with(pointer, name: name) {
                guard let newName, let newName = String(validatingCString: newName) else {
                    return $3.error(.illegalSequence)
                }
                $0.rename(
                    $1, parent: parent, name: $2, newParent: newParent, newName: newName, flags: flags, reply: $3)
            }
        }
        table.link = { pointer, inode, newParent, newName in
            Callbacks.with(pointer, name: newName) {
                $0.link($1, inode: inode, newParent: newParent, newName: $2, reply: $3)
            }
        }
    }
}

extension AttributeChanges {
    fileprivate init(_ status: stat, _ fields: Int32) {
        func has(_ field: Int32) -> Bool { fields & field != 0 }
        if has(FUSE_SET_ATTR_MODE) { mode = status.st_mode }
        if has(FUSE_SET_ATTR_UID) { uid = status.st_uid }
        if has(FUSE_SET_ATTR_GID) { gid = status.st_gid }
        if has(FUSE_SET_ATTR_SIZE) { size = UInt64(clamping: status.st_size) }
        if has(FUSE_SET_ATTR_ATIME_NOW) {
            accessed = .now
        } else if has(FUSE_SET_ATTR_ATIME) {
            accessed = .at(status.st_atim.nanoseconds)
        }
        if has(FUSE_SET_ATTR_MTIME_NOW) {
            modified = .now
        } else if has(FUSE_SET_ATTR_MTIME) {
            modified = .at(status.st_mtim.nanoseconds)
        }
    }
}
