// SPDX-License-Identifier: Apache-2.0

public import FUSE

/// Answers every request that there is no such operation; what a test needs, it overrides.
///
/// Safety: it has no state; subclasses guard theirs.
open class Refusing: Operations, @unchecked Sendable {
    public init() {}

    open func lookup(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        reply.error(.notFound)
    }
    open func forget(inode: UInt64, count: UInt64) {}
    open func getAttributes(_ request: Request, inode: UInt64, handle: UInt64?, reply: consuming Reply) {
        reply.attributes(Attributes(inode: inode, mode: 0o040755, links: 2), timeout: 0)
    }
    open func setAttributes(
        _ request: Request, inode: UInt64, handle: UInt64?, changes: AttributeChanges, reply: consuming Reply
    ) {
        reply.error(.noSystemCall)
    }
    open func readLink(_ request: Request, inode: UInt64, reply: consuming Reply) { reply.error(.noSystemCall) }
    open func makeDirectory(_ request: Request, parent: UInt64, name: String, mode: UInt32, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }
    open func makeNode(_ request: Request, parent: UInt64, name: String, mode: UInt32, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }
    open func unlink(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }
    open func removeDirectory(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }
    open func symlink(_ request: Request, parent: UInt64, name: String, target: String, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }
    open func rename(
        _ request: Request, parent: UInt64, name: String, newParent: UInt64, newName: String, flags: UInt32,
        reply: consuming Reply
    ) {
        reply.error(.noSystemCall)
    }
    open func link(_ request: Request, inode: UInt64, newParent: UInt64, newName: String, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }
    open func open(_ request: Request, inode: UInt64, flags: Int32, reply: consuming Reply) {
        reply.opened(Opened(handle: inode))
    }
    open func create(
        _ request: Request, parent: UInt64, name: String, mode: UInt32, flags: Int32, reply: consuming Reply
    ) {
        reply.error(.noSystemCall)
    }
    open func read(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, buffer: UnsafeMutableRawBufferPointer,
        reply: consuming Reply
    ) {
        reply.error(.noSystemCall)
    }
    open func write(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, bytes: UnsafeRawBufferPointer,
        reply: consuming Reply
    ) {
        reply.error(.noSystemCall)
    }
    open func flush(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply) { reply.done() }
    open func release(_ request: Request, inode: UInt64, handle: UInt64, flags: Int32, reply: consuming Reply) {
        reply.done()
    }
    open func sync(_ request: Request, inode: UInt64, handle: UInt64, dataOnly: Bool, reply: consuming Reply) {
        reply.done()
    }
    open func openDirectory(_ request: Request, inode: UInt64, flags: Int32, reply: consuming Reply) {
        reply.opened(Opened(handle: inode))
    }
    open func readDirectory(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, plus: Bool, buffer: DirectoryBuffer,
        reply: consuming Reply
    ) {
        reply.directory(buffer)
    }
    open func releaseDirectory(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply) {
        reply.done()
    }
    open func syncDirectory(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply) { reply.done() }
    open func statistics(_ request: Request, inode: UInt64, reply: consuming Reply) {
        reply.statistics(FileSystemStatistics(totalBytes: 8 << 30, freeBytes: 3 << 30, files: 42))
    }
    open func allocate(
        _ request: Request, inode: UInt64, handle: UInt64, mode: Int32, offset: UInt64, length: UInt64,
        reply: consuming Reply
    ) {
        reply.error(.noSystemCall)
    }
    open func seek(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, whence: Int32, reply: consuming Reply
    ) {
        reply.error(.noSystemCall)
    }
    open func getExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply) {
        reply.error(.noAttribute)
    }
    open func listExtendedAttributes(_ request: Request, inode: UInt64, reply: consuming Reply) {
        reply.attributeValue([])
    }
    open func setExtendedAttribute(
        _ request: Request, inode: UInt64, name: String, value: [UInt8], flags: Int32, reply: consuming Reply
    ) {
        reply.error(.notSupported)
    }
    open func removeExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply) {
        reply.error(.noAttribute)
    }
}
