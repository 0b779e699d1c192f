// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// A request of the kernel that waits for exactly one answer. Each method sends it and frees the request; it returns
/// whether the kernel took the answer (not if it gave the request up meanwhile).
struct KernelRequest: @unchecked Sendable {
    // Safety: libfuse allows the answer from any thread; whoever holds the request answers it once, by the claims of
    // Reply and PendingReply.
    let pointer: OpaquePointer

    func found(_ found: Found) -> Bool {
        var entry = found.entryParameters
        return fuse_reply_entry(pointer, &entry) == 0
    }

    func attributes(_ attributes: Attributes, timeout: Double) -> Bool {
        var status = attributes.status
        return fuse_reply_attr(pointer, &status, timeout) == 0
    }

    func data(_ bytes: UnsafeRawBufferPointer) -> Bool {
        fuse_reply_buf(pointer, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count) == 0
    }

    func written(_ count: Int) -> Bool {
        fuse_reply_write(pointer, count) == 0
    }

    func opened(_ opened: Opened) -> Bool {
        var file = opened.fileInformation
        return fuse_reply_open(pointer, &file) == 0
    }

    func created(_ found: Found, _ opened: Opened) -> Bool {
        var entry = found.entryParameters
        var file = opened.fileInformation
        return fuse_reply_create(pointer, &entry, &file) == 0
    }

    func error(_ error: Errno) -> Bool {
        fuse_reply_err(pointer, error.rawValue) == 0
    }

    func link(_ target: String) -> Bool {
        target.withCString { fuse_reply_readlink(pointer, $0) == 0 }
    }

    func statistics(_ statistics: FileSystemStatistics) -> Bool {
        var values = statvfs()
        let block: UInt64 = 4096
        values.f_bsize = UInt(block)
        values.f_frsize = UInt(block)
        values.f_blocks = UInt(statistics.totalBytes / block)
        values.f_bfree = UInt(statistics.freeBytes / block)
        values.f_bavail = UInt(statistics.freeBytes / block)
        values.f_files = UInt(statistics.files)
        // Inodes cost nothing here: as many more as there are blocks to put something into them.
        values.f_ffree = UInt(statistics.freeBytes / block)
        values.f_favail = values.f_ffree
        values.f_namemax = 255
        return fuse_reply_statfs(pointer, &values) == 0
    }

    func directory(_ buffer: DirectoryBuffer) -> Bool {
        data(buffer.bytes)
    }

    /// - Parameter limit: the caller's buffer in bytes; 0 asks for the size.
    func attributeValue(_ value: [UInt8], limit: Int) -> Bool {
        if limit == 0 { return fuse_reply_xattr(pointer, value.count) == 0 }
        if value.count > limit { return error(.range) }
        return value.withUnsafeBytes { data($0) }
    }

    func offset(_ offset: UInt64) -> Bool {
        fuse_reply_lseek(pointer, off_t(clamping: offset)) == 0
    }
}

extension Attributes {
    var status: stat {
        var status = stat()
        status.st_ino = UInt(inode)
        status.st_mode = mode
        status.st_nlink = UInt(links)
        status.st_uid = uid
        status.st_gid = gid
        status.st_size = off_t(clamping: size)
        status.st_blocks = blkcnt_t(clamping: size / 512 &+ (size % 512 == 0 ? 0 : 1))
        status.st_mtim = timespec(nanoseconds: modified)
        status.st_ctim = status.st_mtim
        status.st_atim = status.st_mtim
        return status
    }
}

extension Found {
    var entryParameters: fuse_entry_param {
        var entry = fuse_entry_param()
        entry.ino = attributes.inode
        entry.generation = 0
        entry.attr = attributes.status
        entry.attr_timeout = attributesTimeout
        entry.entry_timeout = entryTimeout
        return entry
    }
}

extension Opened {
    fileprivate var fileInformation: fuse_file_info {
        var file = fuse_file_info()
        file.fh = handle
        file.direct_io = directIO ? 1 : 0
        file.keep_cache = keepCache ? 1 : 0
        return file
    }
}

extension timespec {
    fileprivate init(nanoseconds: Int64) {
        let billion: Int64 = 1_000_000_000
        var seconds = nanoseconds / billion
        var rest = nanoseconds % billion
        if rest < 0 {
            seconds -= 1
            rest += billion
        }
        self.init(tv_sec: Int(seconds), tv_nsec: Int(rest))
    }

    /// Since 1970; what is out of range becomes the nearest point that is not.
    var nanoseconds: Int64 {
        let (product, overflow) = Int64(tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return tv_sec < 0 ? .min : .max }
        let (sum, carried) = product.addingReportingOverflow(Int64(tv_nsec))
        return carried ? .max : sum
    }
}
