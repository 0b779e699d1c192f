// SPDX-License-Identifier: Apache-2.0

/// How a file system is mounted and served.
public struct SessionOptions: Sendable, Hashable {
    /// What mount(8) shows as the device.
    public var fileSystemName = "larder"
    /// The file system type becomes `fuse.<subtype>`.
    public var subtype = "larder"
    /// Users other than the one that mounted may use it.
    public var allowOther = true
    /// The kernel checks permissions by mode, uid and gid.
    public var defaultPermissions = true
    public var readOnly = false
    /// Threads that take requests. They only do what does not wait for the network, so a few are enough to keep two
    /// disks busy.
    public var threadCount = 8
    /// Bytes of one write request, and of one read request; 1 MiB is what the protocol version allows.
    public var maxWrite = 1 << 20
    /// Bytes that the kernel reads ahead of one sequential reader.
    public var maxReadAhead = 8 << 20
    /// Read-aheads and asynchronous direct reads that the kernel has under way at once. Its own 12 would be one and a
    /// half readers' read-ahead.
    public var maxBackground = 512
    /// Read-aheads under way from which on the kernel starts no optional ones.
    public var congestionThreshold = 384

    public init() {}
}
