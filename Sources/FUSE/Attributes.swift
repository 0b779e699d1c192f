// SPDX-License-Identifier: Apache-2.0

/// What stat(2) tells.
public struct Attributes: Sendable, Hashable {
    public var inode: UInt64
    /// Type and permission bits (S_IFREG | 0644).
    public var mode: UInt32
    public var links: UInt32
    public var uid: UInt32
    public var gid: UInt32
    public var size: UInt64
    /// Nanoseconds since 1970; change and access times are the same.
    public var modified: Int64

    public init(
        inode: UInt64,
        mode: UInt32,
        links: UInt32 = 1,
        uid: UInt32 = 0,
        gid: UInt32 = 0,
        size: UInt64 = 0,
        modified: Int64 = 0
    ) {
        self.inode = inode
        self.mode = mode
        self.links = links
        self.uid = uid
        self.gid = gid
        self.size = size
        self.modified = modified
    }
}

/// A name that was found: its inode, and how long the kernel may believe both.
public struct Found: Sendable, Hashable {
    public var attributes: Attributes
    /// Seconds for which the name leads to the inode.
    public var entryTimeout: Double
    /// Seconds for which the attributes hold.
    public var attributesTimeout: Double

    public init(_ attributes: Attributes, entryTimeout: Double, attributesTimeout: Double) {
        self.attributes = attributes
        self.entryTimeout = entryTimeout
        self.attributesTimeout = attributesTimeout
    }
}

/// A file that was opened.
public struct Opened: Sendable, Hashable {
    public var handle: UInt64
    /// Reads and writes go past the page cache.
    public var directIO: Bool
    /// What the page cache has of the inode stays.
    public var keepCache: Bool

    public init(handle: UInt64, directIO: Bool = false, keepCache: Bool = false) {
        self.handle = handle
        self.directIO = directIO
        self.keepCache = keepCache
    }
}

/// What statfs(2) tells, in bytes.
public struct FileSystemStatistics: Sendable, Hashable {
    public var totalBytes: UInt64
    public var freeBytes: UInt64
    public var files: UInt64

    public init(totalBytes: UInt64, freeBytes: UInt64, files: UInt64) {
        self.totalBytes = totalBytes
        self.freeBytes = freeBytes
        self.files = files
    }
}
