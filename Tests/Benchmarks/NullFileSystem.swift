// SPDX-License-Identifier: Apache-2.0

import FUSE
import FUSESupport
import Glibc

/// A file `source` of zeros and a file `sink` that drops what is written: nothing but the way through the kernel.
final class NullFileSystem: Refusing, @unchecked Sendable {
    // Safety: everything that it has is constant.
    private let size: UInt64

    init(size: UInt64) { self.size = size }

    private func attributes(_ inode: UInt64) -> Attributes {
        inode == 1
            ? Attributes(inode: 1, mode: S_IFDIR | 0o755, links: 2)
            : Attributes(inode: inode, mode: S_IFREG | 0o644, size: size)
    }

    override func lookup(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        guard let inode: UInt64 = ["source": 2, "sink": 3][name] else { return reply.error(.notFound) }
        reply.found(Found(attributes(inode), entryTimeout: 60, attributesTimeout: 60))
    }

    override func getAttributes(_ request: Request, inode: UInt64, handle: UInt64?, reply: consuming Reply) {
        reply.attributes(attributes(inode), timeout: 60)
    }

    override func open(_ request: Request, inode: UInt64, flags: Int32, reply: consuming Reply) {
        reply.opened(Opened(handle: inode, directIO: inode == 3, keepCache: inode == 2))
    }

    override func read(
        _ request: Request,
        inode: UInt64,
        handle: UInt64,
        offset: UInt64,
        buffer: UnsafeMutableRawBufferPointer,
        reply: consuming Reply
    ) {
        let count = Int(min(UInt64(buffer.count), size - min(size, offset)))
        reply.data(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }

    override func write(
        _ request: Request,
        inode: UInt64,
        handle: UInt64,
        offset: UInt64,
        bytes: UnsafeRawBufferPointer,
        reply: consuming Reply
    ) {
        reply.written(bytes.count)
    }

    override func release(_ request: Request, inode: UInt64, handle: UInt64, flags: Int32, reply: consuming Reply) {
        reply.done()
    }
}
