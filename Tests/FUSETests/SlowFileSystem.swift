// SPDX-License-Identifier: Apache-2.0

import FUSE
import FUSESupport

/// Files whose names say how they answer: `fast` at once, `slow-…` once the gate is open, `held` so at its lookup,
/// `soon` after a turn of the pool, `errno-<n>` with that error, `drop` and `drop-later` not at all.
final class SlowFileSystem: Refusing, @unchecked Sendable {
    // Safety: its members are Sendable and constant.
    let gate = Gate()
    let begun = Counter()
    let cancelled = Counter()
    let contents: [UInt8] = Array("contents".utf8)

    override func lookup(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        if name.hasPrefix("errno-"), let number = Int32(name.dropFirst(6)) {
            return reply.error(Errno(rawValue: number))
        }
        if name == "drop" { return }
        if name == "drop-later" {
            return reply.later { _ in }
        }
        if name == "held" {
            begun.add()
            return reply.later { [gate] pending in
                pending.error(await gate.pass() ? .notFound : .interrupted)
            }
        }
        let inode: UInt64 = name == "fast" ? 2 : name == "soon" ? 4 : 3
        let attributes = Attributes(inode: inode, mode: 0o100644, size: UInt64(contents.count))
        reply.found(Found(attributes, entryTimeout: 60, attributesTimeout: 60))
    }

    override func getAttributes(_ request: Request, inode: UInt64, handle: UInt64?, reply: consuming Reply) {
        let mode: UInt32 = inode == 1 ? 0o040755 : 0o100644
        let attributes = Attributes(inode: inode, mode: mode, size: UInt64(contents.count))
        reply.attributes(attributes, timeout: 0)
    }

    override func open(_ request: Request, inode: UInt64, flags: Int32, reply: consuming Reply) {
        reply.opened(Opened(handle: inode, directIO: true))
    }

    override func read(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, buffer: UnsafeMutableRawBufferPointer,
        reply: consuming Reply
    ) {
        let bytes = Array(contents.dropFirst(Int(offset)).prefix(buffer.count))
        if inode == 2 {
            buffer.copyBytes(from: bytes)
            return reply.data(UnsafeRawBufferPointer(rebasing: buffer[..<bytes.count]))
        }
        if inode == 4 {
            return reply.later { pending in
                await Task.yield()
                if Task.isCancelled { return pending.error(.interrupted) }
                bytes.withUnsafeBytes { pending.data($0) }
            }
        }
        begun.add()
        reply.later { [gate, cancelled] pending in
            guard await gate.pass() else {
                cancelled.add()
                return pending.error(.interrupted)
            }
            bytes.withUnsafeBytes { pending.data($0) }
        }
    }
}
