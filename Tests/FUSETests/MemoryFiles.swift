// SPDX-License-Identifier: Apache-2.0

import FUSE
import FUSESupport
import Foundation
import NIOConcurrencyHelpers

/// A file system in memory that answers at once, and records what it was asked: its inodes and their data.
class MemoryFiles: Refusing, @unchecked Sendable {
    // Safety: all state is in `state`.
    struct Node {
        var attributes: Attributes
        var bytes: [UInt8] = []
        var children: [(name: String, inode: UInt64)] = []
        var target = ""
        var extended: [String: [UInt8]] = [:]
    }

    struct State {
        var nodes: [UInt64: Node] = [1: Node(attributes: Attributes(inode: 1, mode: 0o040755, links: 2))]
        var last: UInt64 = 1
        var lookups: [String: Int] = [:]
        var reads = 0
        var largestRead = 0
        var largestWrite = 0
        var releases = 0
        var forgotten: UInt64 = 0
        var changes: [AttributeChanges] = []
        var plusListings = 0
        var allocations: [String] = []
    }

    let state = NIOLockedValueBox(State())
    /// Seconds.
    let timeout: Double
    let directIO: Bool

    init(timeout: Double = 0, directIO: Bool = false) {
        self.timeout = timeout
        self.directIO = directIO
    }

    @discardableResult
    func add(_ name: String, to parent: UInt64 = 1, mode: UInt32 = 0o100644, bytes: [UInt8] = []) -> UInt64 {
        state.withLockedValue { $0.add(name, to: parent, mode: mode, bytes: bytes) }
    }

    func found(_ node: Node) -> Found {
        Found(node.attributes, entryTimeout: timeout, attributesTimeout: timeout)
    }

    override func getAttributes(_ request: Request, inode: UInt64, handle: UInt64?, reply: consuming Reply) {
        guard let node = state.withLockedValue({ $0.nodes[inode] }) else { return reply.error(.notFound) }
        reply.attributes(node.attributes, timeout: timeout)
    }

    override func setAttributes(
        _ request: Request, inode: UInt64, handle: UInt64?, changes: AttributeChanges, reply: consuming Reply
    ) {
        let attributes: Attributes? = state.withLockedValue { state in
            state.changes.append(changes)
            guard var node = state.nodes[inode] else { return nil }
            if let mode = changes.mode { node.attributes.mode = mode }
            if let uid = changes.uid { node.attributes.uid = uid }
            if let gid = changes.gid { node.attributes.gid = gid }
            if let size = changes.size {
                node.bytes = Array(node.bytes.prefix(Int(size)))
                node.bytes += [UInt8](repeating: 0, count: Int(size) - node.bytes.count)
                node.attributes.size = size
            }
            if case .at(let time) = changes.modified { node.attributes.modified = time }
            state.nodes[inode] = node
            return node.attributes
        }
        guard let attributes else { return reply.error(.notFound) }
        reply.attributes(attributes, timeout: timeout)
    }

    override func open(_ request: Request, inode: UInt64, flags: Int32, reply: consuming Reply) {
        reply.opened(Opened(handle: inode, directIO: directIO, keepCache: true))
    }

    override func read(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, buffer: UnsafeMutableRawBufferPointer,
        reply: consuming Reply
    ) {
        let count = state.withLockedValue { state in
            state.reads += 1
            state.largestRead = max(state.largestRead, buffer.count)
            let bytes = state.nodes[inode]?.bytes ?? []
            let start = min(Int(offset), bytes.count)
            let count = min(buffer.count, bytes.count - start)
            bytes[start..<start + count].withUnsafeBytes { buffer.copyMemory(from: $0) }
            return count
        }
        reply.data(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }

    override func write(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, bytes: UnsafeRawBufferPointer,
        reply: consuming Reply
    ) {
        state.withLockedValue { state in
            state.largestWrite = max(state.largestWrite, bytes.count)
            guard var node = state.nodes.removeValue(forKey: inode) else { return }
            let (start, end) = (Int(offset), Int(offset) + bytes.count)
            if end > node.bytes.count { node.bytes += [UInt8](repeating: 0, count: end - node.bytes.count) }
            node.bytes.replaceSubrange(start..<end, with: bytes)
            node.attributes.size = UInt64(node.bytes.count)
            state.nodes[inode] = node
        }
        reply.written(bytes.count)
    }

    override func release(_ request: Request, inode: UInt64, handle: UInt64, flags: Int32, reply: consuming Reply) {
        reply.done()
        state.withLockedValue { $0.releases += 1 }
    }

    override func allocate(
        _ request: Request, inode: UInt64, handle: UInt64, mode: Int32, offset: UInt64, length: UInt64,
        reply: consuming Reply
    ) {
        state.withLockedValue { $0.allocations.append("\(mode) \(offset) \(length)") }
        reply.done()
    }

    override func seek(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, whence: Int32, reply: consuming Reply
    ) {
        let size = state.withLockedValue { UInt64($0.nodes[inode]?.bytes.count ?? 0) }
        if offset >= size { return reply.error(.noAddress) }
        // All of it is data, and after it is the hole.
        reply.offset(whence == 3 ? offset : size)
    }

    override func readDirectory(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, plus: Bool, buffer: DirectoryBuffer,
        reply: consuming Reply
    ) {
        let (nodes, children) = state.withLockedValue { state in
            if plus { state.plusListings += 1 }
            return (state.nodes, state.nodes[inode]?.children ?? [])
        }
        guard let own = nodes[inode] else { return reply.error(.notFound) }
        if offset < 1, !buffer.add(name: ".", attributes: own.attributes, offset: 1) { return reply.error(.invalid) }
        if offset < 2, !buffer.add(name: "..", attributes: own.attributes, offset: 2) { return reply.error(.invalid) }
        for (index, child) in children.enumerated().dropFirst(max(Int(offset), 2) - 2) {
            guard let node = nodes[child.inode] else { continue }
            if !buffer.add(found(node), name: child.name, offset: UInt64(index + 3)) { break }
        }
        reply.directory(buffer)
    }

    override func getExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply) {
        guard let value = state.withLockedValue({ $0.nodes[inode]?.extended[name] }) else {
            return reply.error(.noAttribute)
        }
        reply.attributeValue(value)
    }

    override func listExtendedAttributes(_ request: Request, inode: UInt64, reply: consuming Reply) {
        let names = state.withLockedValue { $0.nodes[inode]?.extended.keys.sorted() ?? [] }
        reply.attributeValue(names.flatMap { Array($0.utf8) + [0] })
    }

    override func setExtendedAttribute(
        _ request: Request, inode: UInt64, name: String, value: [UInt8], flags: Int32, reply: consuming Reply
    ) {
        state.withLockedValue { $0.nodes[inode]?.extended[name] = value }
        reply.done()
    }

    override func removeExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply) {
        let value = state.withLockedValue { $0.nodes[inode]?.extended.removeValue(forKey: name) }
        if value == nil { reply.error(.noAttribute) } else { reply.done() }
    }
}

extension MemoryFiles.State {
    func child(_ name: String, of parent: UInt64) -> UInt64? {
        nodes[parent]?.children.first { $0.name == name }?.inode
    }

    mutating func add(_ name: String, to parent: UInt64, mode: UInt32, bytes: [UInt8] = []) -> UInt64 {
        last += 1
        let attributes = Attributes(inode: last, mode: mode, size: UInt64(bytes.count))
        nodes[last] = MemoryFiles.Node(attributes: attributes, bytes: bytes)
        nodes[parent]?.children.append((name, last))
        return last
    }

    @discardableResult
    mutating func removeName(_ name: String, from parent: UInt64) -> UInt64? {
        guard let index = nodes[parent]?.children.firstIndex(where: { $0.name == name }) else { return nil }
        return nodes[parent]?.children.remove(at: index).inode
    }
}
