// SPDX-License-Identifier: Apache-2.0

/// What a file system does for each request of the kernel (libfuse's low-level operations).
///
/// Every method is called on one of the session's threads and may answer there and then, or hand the reply to
/// ``Reply/later(_:)`` and return. A method must not block for anything but local disk. Inode numbers are the file
/// system's own; 1 is the root. `name` is one path component, valid UTF-8 or the request was refused with `EILSEQ`.
public protocol Operations: AnyObject, Sendable {
    func lookup(_ request: Request, parent: UInt64, name: String, reply: consuming Reply)
    /// The kernel dropped `count` of its references to an inode. No reply.
    func forget(inode: UInt64, count: UInt64)
    func getAttributes(_ request: Request, inode: UInt64, handle: UInt64?, reply: consuming Reply)
    func setAttributes(
        _ request: Request, inode: UInt64, handle: UInt64?, changes: AttributeChanges, reply: consuming Reply)
    /// access(2) and chdir(2), where the kernel does not check permissions itself. `mask`: R_OK, W_OK and X_OK. The default
    /// is ENOSYS: everything is allowed, and the kernel asks no more.
    func access(_ request: Request, inode: UInt64, mask: Int32, reply: consuming Reply)
    func readLink(_ request: Request, inode: UInt64, reply: consuming Reply)
    func makeDirectory(_ request: Request, parent: UInt64, name: String, mode: UInt32, reply: consuming Reply)
    func makeNode(_ request: Request, parent: UInt64, name: String, mode: UInt32, reply: consuming Reply)
    func unlink(_ request: Request, parent: UInt64, name: String, reply: consuming Reply)
    func removeDirectory(_ request: Request, parent: UInt64, name: String, reply: consuming Reply)
    func symlink(_ request: Request, parent: UInt64, name: String, target: String, reply: consuming Reply)
    /// `flags`: RENAME_NOREPLACE (1), RENAME_EXCHANGE (2).
    func rename(
        _ request: Request, parent: UInt64, name: String, newParent: UInt64, newName: String, flags: UInt32,
        reply: consuming Reply)
    func link(_ request: Request, inode: UInt64, newParent: UInt64, newName: String, reply: consuming Reply)
    /// `flags`: those of open(2), without O_CREAT, O_EXCL and O_TRUNC.
    func open(_ request: Request, inode: UInt64, flags: Int32, reply: consuming Reply)
    func create(
        _ request: Request, parent: UInt64, name: String, mode: UInt32, flags: Int32, reply: consuming Reply)
    /// `buffer` is the thread's own, as long as the request asks for; fill it from its start and call
    /// ``Reply/data(_:)`` with a part of it, before returning.
    func read(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, buffer: UnsafeMutableRawBufferPointer,
        reply: consuming Reply)
    /// `bytes` are valid until the method returns.
    func write(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, bytes: UnsafeRawBufferPointer,
        reply: consuming Reply)
    func flush(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply)
    func release(_ request: Request, inode: UInt64, handle: UInt64, flags: Int32, reply: consuming Reply)
    func sync(_ request: Request, inode: UInt64, handle: UInt64, dataOnly: Bool, reply: consuming Reply)
    func openDirectory(_ request: Request, inode: UInt64, flags: Int32, reply: consuming Reply)
    /// Entries after the one whose offset is `offset` (0: from the start), appended to `buffer` until it is full;
    /// `plus`: with attributes, each such entry counting as a lookup. Answer with ``Reply/directory(_:)``.
    func readDirectory(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, plus: Bool, buffer: DirectoryBuffer,
        reply: consuming Reply)
    func releaseDirectory(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply)
    func syncDirectory(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply)
    func statistics(_ request: Request, inode: UInt64, reply: consuming Reply)
    func allocate(
        _ request: Request, inode: UInt64, handle: UInt64, mode: Int32, offset: UInt64, length: UInt64,
        reply: consuming Reply)
    /// `whence`: SEEK_DATA (3) or SEEK_HOLE (4).
    func seek(
        _ request: Request, inode: UInt64, handle: UInt64, offset: UInt64, whence: Int32, reply: consuming Reply)
    /// Answer with ``Reply/attributeValue(_:)``, which deals with `size` 0.
    func getExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply)
    func listExtendedAttributes(_ request: Request, inode: UInt64, reply: consuming Reply)
    func setExtendedAttribute(
        _ request: Request, inode: UInt64, name: String, value: [UInt8], flags: Int32, reply: consuming Reply)
    func removeExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply)
}

extension Operations {
    public func access(_ request: Request, inode: UInt64, mask: Int32, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }
}
