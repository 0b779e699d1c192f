// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Glibc
import Objects

extension Tree {
    func lookup(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        if let special = specialChild(parent, name) { return answer(found(.special(special)), reply) }
        if case .special = nodes.node(parent) { return reply.error(.notFound) }
        do {
            let key = try key(parent, name)
            if let file = reopenings.file(at: key, pid: request.pid) { return answer(found(.staged(file)), reply) }
            let file = staged[key]
            // In this order: a key ceases to settle after its file began to be released.
            if cache.isSettling(key) || file?.isReleasing == true {
                return reply.later { await self.lookupLater(key, file, $0) }
            }
            if let file, file.isVisible { return answer(found(.staged(file)), reply) }
            let count = publicationCount
            if let node = try published(key) { return answer(found(node, readAt: count), reply) }
            if cache.mustWait(key) { return reply.later { await self.lookupLater(key, nil, $0) } }
            reply.error(.notFound)
        } catch {
            reply.error(error)
        }
    }

    /// The node of a published key or a directory.
    func published(_ key: Key) throws(Errno) -> Node? {
        do {
            let found = try cache.find(key)
            if let entry = found.entry { return node(entry) }
            return found.isDirectory ? .directory(text: key.text) : nil
        } catch {
            throw Errno(error)
        }
    }

    /// A look-up that waits for a publication.
    private func lookupLater(_ key: Key, _ file: StagedFile?, _ reply: PendingReply) async {
        do {
            if let file, file.isReleasing { await untilOver(file) }
            _ = try await cache.waitForEntry(key)
            // The entry is there a moment before the inode of the file is the entry's.
            if let file = staged[key], file.isReleasing { await untilOver(file) }
            if let file = staged[key], file.isVisible { return answer(found(.staged(file)), reply) }
            let count = publicationCount
            guard let node = try published(key) else { return reply.error(.notFound) }
            answer(found(node, readAt: count), reply)
        } catch {
            reply.error(.from(error))
        }
    }

    private func specialChild(_ parent: UInt64, _ name: String) -> SpecialNode? {
        if parent == NodeTable.root { return name == SpecialNode.directory.rawValue ? .directory : nil }
        guard parent < NodeTable.firstFree, case .special(let directory) = nodes.node(parent) else { return nil }
        return specialChildren(of: directory).first { $0.rawValue == name }
    }

    private func specialChildren(of directory: SpecialNode) -> [SpecialNode] {
        directory.children.filter { program != nil || $0 != .programs && $0 != .program }
    }

    func forget(inode: UInt64, count: UInt64) { nodes.forget(inode, count: count) }

    func readLink(_ request: Request, inode: UInt64, reply: consuming Reply) {
        guard case .published(let version) = nodes.node(inode), let target = version.target else {
            return reply.error(.invalid)
        }
        reply.link(target)
    }

    func statistics(_ request: Request, inode: UInt64, reply: consuming Reply) {
        let capacity = cache.capacity
        reply.statistics(
            FileSystemStatistics(totalBytes: capacity.total, freeBytes: capacity.free, files: 1_000_000)
        )
    }

    func openDirectory(_ request: Request, inode: UInt64, flags: Int32, reply: consuming Reply) {
        if let (number, handle) = opened(by: request) { return openAgain(number, handle, reply) }
        guard handles.hasRoom else { return reply.error(.tooManyOpen) }
        switch nodes.node(inode) {
        case .directory:
            answerOpened(Opened(handle: handles.addListing(for: request.unique)), reply)
        case .special(let special) where special.isDirectory:
            reply.opened(Opened(handle: 0))
        case nil: reply.error(.stale)
        case .published, .staged, .special: reply.error(.notDirectory)
        }
    }

    func readDirectory(
        _ request: Request,
        inode: UInt64,
        handle: UInt64,
        offset: UInt64,
        plus: Bool,
        buffer: DirectoryBuffer,
        reply: consuming Reply
    ) {
        guard case .directory(let listing) = handles[handle] else {
            if case .special(let special) = nodes.node(inode), special.isDirectory {
                return list(special, offset, plus, buffer, reply)
            }
            return reply.error(.badDescriptor)
        }
        guard let directory = nodes.directory(inode) else { return reply.error(.stale) }
        if offset == 0 { listing.rewind(directory, of: self) }
        do {
            var position = Int(clamping: offset)
            while let item = try item(at: position, of: listing, inode, directory) {
                guard add(item, plus, UInt64(position) + 1, buffer) else { break }
                position += 1
            }
            reply.directory(buffer)
        } catch {
            reply.error(error)
        }
    }

    /// `.` and `..` come first and count as no look-up.
    private enum Item {
        case dot(String, UInt64)
        case child(DirectoryListing.Item)
    }

    private func item(
        at position: Int,
        of listing: DirectoryListing,
        _ inode: UInt64,
        _ directory: String
    ) throws(Errno) -> Item? {
        switch position {
        case 0: return .dot(".", inode)
        case 1: return .dot("..", NodeTable.root)
        default:
            do {
                return try listing.item(at: position - 2, of: directory, from: self)
                    .map { .child($0) }
            } catch {
                throw Errno(error)
            }
        }
    }

    private func add(_ item: Item, _ plus: Bool, _ offset: UInt64, _ buffer: DirectoryBuffer) -> Bool {
        switch item {
        case .dot(let name, let inode):
            return buffer.add(name: name, attributes: Attributes(inode: inode, mode: S_IFDIR), offset: offset)
        case .child(let child):
            guard let node = child.node else { return true }
            guard plus else {
                return buffer.add(
                    name: child.name,
                    attributes: Attributes(inode: offset + 1 << 40, mode: node.type),
                    offset: offset
                )
            }
            let found = found(node, readAt: child.readAt)
            guard buffer.add(found, name: child.name, offset: offset) else {
                nodes.forget(found.attributes.inode, count: 1)
                return false
            }
            return true
        }
    }

    private func list(
        _ directory: SpecialNode,
        _ offset: UInt64,
        _ plus: Bool,
        _ buffer: DirectoryBuffer,
        _ reply: consuming Reply
    ) {
        for (at, special) in specialChildren(of: directory).enumerated() where at >= Int(clamping: offset) {
            let added =
                plus
                ? buffer.add(found(.special(special)), name: special.rawValue, offset: UInt64(at + 1))
                : buffer.add(
                    name: special.rawValue,
                    attributes: Attributes(inode: special.inode, mode: special.mode),
                    offset: UInt64(at + 1)
                )
            guard added else { break }
        }
        reply.directory(buffer)
    }

    func releaseDirectory(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply) {
        _ = handles.remove(handle)
        reply.done()
    }

    func syncDirectory(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply) {
        reply.done()
    }
}

extension Node {
    /// The type bits, for a directory's listing.
    var type: UInt32 {
        switch self {
        case .directory: S_IFDIR
        case .special(let special): special.isDirectory ? S_IFDIR : S_IFREG
        case .published(let version): version.target != nil ? S_IFLNK : S_IFREG
        case .staged: S_IFREG
        }
    }
}
