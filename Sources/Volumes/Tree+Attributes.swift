// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Glibc
import Objects

extension Tree {
    func getAttributes(_ request: Request, inode: UInt64, handle: UInt64?, reply: consuming Reply) {
        guard let node = nodes.node(inode) else { return reply.error(.stale) }
        reply.attributes(attributes(of: node, inode: inode), timeout: timeout(of: node))
    }

    /// Everybody may read and, in a writable volume, write; what has no right to execute for anybody can't be executed.
    func access(_ request: Request, inode: UInt64, mask: Int32, reply: consuming Reply) {
        guard let node = nodes.node(inode) else { return reply.error(.stale) }
        let mode = attributes(of: node, inode: inode).mode
        if mask & W_OK != 0, isReadOnly { return reply.error(.readOnly) }
        let executes: UInt32 = S_IXUSR | S_IXGRP | S_IXOTH
        if mask & X_OK != 0, mode & S_IFMT == S_IFREG, mode & executes == 0 { return reply.error(.access) }
        reply.done()
    }

    func timeout(of node: Node) -> Double {
        switch node {
        case .published: Tree.publishedTimeout
        case .directory: Tree.directoryTimeout
        case .staged: Tree.stagedTimeout
        case .special: 0
        }
    }

    func setAttributes(
        _ request: Request,
        inode: UInt64,
        handle: UInt64?,
        changes: AttributeChanges,
        reply: consuming Reply
    ) {
        guard let node = nodes.node(inode) else { return reply.error(.stale) }
        if case .special = node { return reply.attributes(attributes(of: node, inode: inode), timeout: 0) }
        guard !isReadOnly else { return reply.error(.readOnly) }
        if request.replay?.outcome?.rawValue == 0 {
            return reply.attributes(attributes(of: node, inode: inode), timeout: timeout(of: node))
        }
        if let file = writtenFile(handle, node) {
            // Held: its last writer may close it meanwhile, and what is set is to be published.
            if file.hold() { return setAttributes(of: file, node, inode, changes, reply) }
            return reply.later { [self] reply in
                await untilOver(file)
                await setAttributes(ofPublished: nodes.node(inode) ?? node, inode, changes, reply)
            }
        }
        // Owners are squashed to one: chown is accepted and changes nothing.
        guard changes.size != nil || changes.mode != nil || changes.modified != nil, key(of: node) != nil else {
            return reply.attributes(attributes(of: node, inode: inode), timeout: timeout(of: node))
        }
        reply.later { await self.setAttributes(ofPublished: node, inode, changes, $0) }
    }

    private func setAttributes(
        ofPublished node: Node, _ inode: UInt64, _ changes: AttributeChanges, _ reply: PendingReply
    ) async {
        do {
            var after = node
            if let key = key(of: node) {
                if let size = changes.size { try await truncate(key, to: size) }
                after = try await setMetadata(key, node, changes)
            }
            // A reader's page cache belongs to this inode, so a new size is never told of it (P3).
            reply.attributes(attributes(of: after, inode: inode), timeout: timeout(of: after))
        } catch {
            reply.error(.from(error))
        }
    }

    /// The file being written that a setattr is about: the handle's, or the inode's own while it is not published.
    private func writtenFile(_ handle: UInt64?, _ node: Node) -> StagedFile? {
        if let handle, case .writer(let file, _) = handles[handle] { return file }
        if case .staged(let file) = node, file.published == nil { return file }
        return nil
    }

    private func setAttributes(
        of file: StagedFile,
        _ node: Node,
        _ inode: UInt64,
        _ changes: AttributeChanges,
        _ reply: consuming Reply
    ) {
        guard let size = changes.size else {
            set(changes, of: file)
            let attributes = attributes(of: node, inode: inode)
            guard file.letGo() else { return reply.attributes(attributes, timeout: timeout(of: node)) }
            return reply.later { [self] reply in
                await publish(file)
                reply.attributes(attributes, timeout: timeout(of: node))
            }
        }
        reply.later { [self] reply in
            do {
                try await truncate(file, to: size)
                set(changes, of: file)
                reply.attributes(attributes(of: node, inode: inode), timeout: timeout(of: node))
            } catch {
                reply.error(.from(error))
            }
            await letGo(file)
        }
    }

    private func truncate(_ file: StagedFile, to size: UInt64) async throws {
        file.noteModified()
        try await file.writer.truncate(to: size)
    }

    private func set(_ changes: AttributeChanges, of file: StagedFile) {
        var metadata = file.writer.metadata
        if let mode = changes.mode { metadata.mode = UInt16(mode & 0o7777) }
        if let modified = changes.modified { metadata.modified = nanoseconds(modified) }
        if changes.mode != nil || changes.modified != nil {
            file.writer.metadata = metadata
            file.keepChanges()
        }
    }

    private func nanoseconds(_ time: AttributeChanges.Time) -> Int64 {
        switch time {
        case .at(let nanoseconds): nanoseconds
        case .now: cache.wallNanoseconds()
        }
    }

    /// The key that a node stands for; nil for the root and the mount's own files.
    private func key(of node: Node) -> Key? {
        switch node {
        case .directory(let text): try? Key(text)
        case .published(let version): version.key
        case .staged(let file): file.published?.key
        case .special: nil
        }
    }

    private func setMetadata(_ key: Key, _ node: Node, _ changes: AttributeChanges) async throws -> Node {
        let mode = changes.mode.map { UInt16($0 & 0o7777) }
        let modified = changes.modified.map(nanoseconds)
        guard mode != nil || modified != nil else { return node }
        if case .directory = node, try cache.lookup(key) == nil {
            // Implied by its keys so far; a mode or a time of its own makes it a directory of its own.
            let metadata = Metadata(mode: mode ?? 0o777, modified: modified ?? cache.wallNanoseconds())
            _ = try await changing([key]) { try await cache.makeDirectoryExplicit(key, metadata: metadata) }
            return node
        }
        let new = try await changing([key]) { try await cache.setMetadata(key, mode: mode, modified: modified) }
        // Who is writing the next version began it with the mode of this one.
        if mode != nil, let file = staged[key], file.isReplacement, file.hold() {
            var ofFile = changes
            ofFile.modified = nil
            set(ofFile, of: file)
            await letGo(file)
        }
        if case .published(let old) = node {
            nodes.replace(old.entry, with: new)
            return .published(PublishedVersion(new))
        }
        return node
    }

    /// truncate(2) without a handle: a writer of one change.
    private func truncate(_ key: Key, to size: UInt64) async throws {
        if let file = await heldFile(key) {
            do {
                try await truncate(file, to: size)
            } catch {
                await letGo(file)
                throw error
            }
            return await letGo(file)
        }
        guard let entry = try cache.lookup(key) else { throw Errno.notFound }
        guard entry.size != size else { return }
        let base = try cache.open(entry)
        defer { base.close() }
        let writer = try cache.create(key, metadata: entry.metadata, base: base)
        do {
            try await writer.truncate(to: size)
        } catch {
            writer.discard()
            throw error
        }
        _ = try await writer.publish()
    }
}
