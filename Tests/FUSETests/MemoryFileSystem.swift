// SPDX-License-Identifier: Apache-2.0

import FUSE
import FUSESupport
import Foundation
import NIOConcurrencyHelpers

/// A file system in memory that answers at once, and records what it was asked: its names.
final class MemoryFileSystem: MemoryFiles, @unchecked Sendable {
    // Safety: all state is in `state`.
    override func lookup(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        let node = state.withLockedValue { state in
            state.lookups[name, default: 0] += 1
            return state.child(name, of: parent).flatMap { state.nodes[$0] }
        }
        if let node { reply.found(found(node)) } else { reply.error(.notFound) }
    }

    override func forget(inode: UInt64, count: UInt64) {
        state.withLockedValue { $0.forgotten += count }
    }

    override func readLink(_ request: Request, inode: UInt64, reply: consuming Reply) {
        reply.link(state.withLockedValue { $0.nodes[inode]?.target ?? "" })
    }

    override func makeDirectory(
        _ request: Request, parent: UInt64, name: String, mode: UInt32, reply: consuming Reply
    ) {
        make(name, in: parent, mode: mode | UInt32(S_IFDIR), reply)
    }

    override func makeNode(_ request: Request, parent: UInt64, name: String, mode: UInt32, reply: consuming Reply) {
        make(name, in: parent, mode: mode, reply)
    }

    override func symlink(
        _ request: Request, parent: UInt64, name: String, target: String, reply: consuming Reply
    ) {
        make(name, in: parent, mode: UInt32(S_IFLNK) | 0o777, target: target, reply)
    }

    private func make(
        _ name: String, in parent: UInt64, mode: UInt32, target: String = "", _ reply: consuming Reply
    ) {
        let node: Node? = state.withLockedValue { state in
            if state.child(name, of: parent) != nil { return nil }
            let inode = state.add(name, to: parent, mode: mode)
            state.nodes[inode]?.target = target
            return state.nodes[inode]
        }
        guard let node else { return reply.error(.exists) }
        reply.found(found(node))
    }

    override func unlink(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        let removed = state.withLockedValue { $0.removeName(name, from: parent) }
        if removed == nil { reply.error(.notFound) } else { reply.done() }
    }

    override func removeDirectory(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        let error: Errno? = state.withLockedValue { state in
            guard let inode = state.child(name, of: parent) else { return .notFound }
            if state.nodes[inode]?.children.isEmpty == false { return .notEmpty }
            state.removeName(name, from: parent)
            return nil
        }
        if let error { reply.error(error) } else { reply.done() }
    }

    override func rename(
        _ request: Request, parent: UInt64, name: String, newParent: UInt64, newName: String, flags: UInt32,
        reply: consuming Reply
    ) {
        let error: Errno? = state.withLockedValue { state in
            if flags & 1 != 0, state.child(newName, of: newParent) != nil { return .exists }
            guard let inode = state.removeName(name, from: parent) else { return .notFound }
            state.removeName(newName, from: newParent)
            state.nodes[newParent]?.children.append((newName, inode))
            return nil
        }
        if let error { reply.error(error) } else { reply.done() }
    }

    override func link(
        _ request: Request, inode: UInt64, newParent: UInt64, newName: String, reply: consuming Reply
    ) {
        let node: Node? = state.withLockedValue { state in
            state.nodes[newParent]?.children.append((newName, inode))
            state.nodes[inode]?.attributes.links += 1
            return state.nodes[inode]
        }
        guard let node else { return reply.error(.notFound) }
        reply.found(found(node))
    }

    override func create(
        _ request: Request, parent: UInt64, name: String, mode: UInt32, flags: Int32, reply: consuming Reply
    ) {
        let node: Node? = state.withLockedValue { state in
            if state.child(name, of: parent) != nil { return nil }
            return state.nodes[state.add(name, to: parent, mode: mode | UInt32(S_IFREG))]
        }
        guard let node else { return reply.error(.exists) }
        reply.created(found(node), Opened(handle: node.attributes.inode, directIO: directIO))
    }
}
