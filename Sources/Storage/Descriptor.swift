// SPDX-License-Identifier: Apache-2.0

import CXXHash
import Glibc

/// An open file: closed when the last reference goes, so that a reader keeps a segment that a sweep unlinks.
final class Descriptor: Sendable {
    let number: Int32
    let path: String
    private let faults: DiskFaults?

    private init(number: Int32, path: String, faults: DiskFaults?) {
        self.number = number
        self.path = path
        self.faults = faults
    }

    deinit { close(number) }

    /// Opens a file with `O_CLOEXEC`, mode 0600 where it is made.
    static func open(_ path: String, _ flags: Int32, _ faults: DiskFaults?) throws(StorageError) -> Descriptor {
        try faults?.check(.open, path)
        let number = Glibc.open(path, flags | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw .system(errno, "open", path) }
        return Descriptor(number: number, path: path, faults: faults)
    }

    /// Fills the buffer from an offset, or as far as the file goes.
    func read(into out: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        try faults?.check(.read, path)
        var have = 0
        while have < out.count {
            let count = pread(number, out.baseAddress.map { $0 + have }, out.count - have, off_t(offset) + off_t(have))
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw .system(errno, "read", path)
            }
            have += count
        }
        return have
    }

    /// Fills two buffers from one run of bytes, with one call where the system gives all at once.
    func read(
        into head: UnsafeMutableRawBufferPointer, and body: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(StorageError) -> Int {
        try faults?.check(.read, path)
        var parts = (
            iovec(iov_base: head.baseAddress, iov_len: head.count),
            iovec(iov_base: body.baseAddress, iov_len: body.count)
        )
        let count = withUnsafePointer(to: &parts) {
            $0.withMemoryRebound(to: iovec.self, capacity: 2) { preadv(number, $0, 2, off_t(offset)) }
        }
        if count == head.count + body.count { return count }
        let first = try read(into: head, at: offset)
        return first < head.count ? first : first + (try read(into: body, at: offset + UInt64(head.count)))
    }

    /// Writes all of the buffer at an offset.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(StorageError) {
        try faults?.check(.write, path)
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                number, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset) + off_t(done)
            )
            if count < 0 {
                if errno == EINTR { continue }
                throw .system(errno, "write", path)
            }
            done += count
        }
    }

    /// Writes two buffers as one run of bytes, with one call where the system takes all at once.
    func write(
        _ head: UnsafeRawBufferPointer, and body: UnsafeRawBufferPointer, at offset: UInt64
    ) throws(StorageError) {
        try faults?.check(.write, path)
        var parts = (
            iovec(iov_base: UnsafeMutableRawPointer(mutating: head.baseAddress), iov_len: head.count),
            iovec(iov_base: UnsafeMutableRawPointer(mutating: body.baseAddress), iov_len: body.count)
        )
        let count = withUnsafePointer(to: &parts) {
            $0.withMemoryRebound(to: iovec.self, capacity: 2) { pwritev(number, $0, 2, off_t(offset)) }
        }
        if count == head.count + body.count { return }
        // Again from the start where only a part was taken: what it failed for, fails again by name.
        try write(head, at: offset)
        try write(body, at: offset + UInt64(head.count))
    }

    /// Bytes and size written before are on the disk when this returns.
    func sync() throws(StorageError) {
        try faults?.check(.sync, path)
        guard fdatasync(number) == 0 else { throw .system(errno, "sync", path) }
    }

    func truncate(to size: UInt64) throws(StorageError) {
        try faults?.check(.truncate, path)
        guard ftruncate(number, off_t(size)) == 0 else { throw .system(errno, "truncate", path) }
    }

    /// Gives a range's blocks back to the disk.
    ///
    /// - Returns: false where the file system cannot.
    func punch(_ range: Range<UInt64>) throws(StorageError) -> Bool {
        try faults?.check(.punch, path)
        guard !range.isEmpty else { return true }
        if larder_punch(number, off_t(range.lowerBound), off_t(range.count)) == 0 { return true }
        if errno == EOPNOTSUPP || errno == ENOSYS { return false }
        throw .system(errno, "punch a hole into", path)
    }

    /// The first offset at or after `offset` that is in no hole, or nil where there is none.
    func nextData(from offset: UInt64) -> UInt64? {
        let seekData: Int32 = 3  // SEEK_DATA, which glibc's header hides from Swift.
        let found = lseek(number, off_t(offset), seekData)
        if found >= 0 { return UInt64(found) }
        // Where a file system knows no holes, everything is data.
        return errno == ENXIO ? nil : offset
    }

    /// The end of the data that holds `offset`, at most `size`.
    func nextHole(from offset: UInt64, size: UInt64) -> UInt64 {
        let seekHole: Int32 = 4  // SEEK_HOLE, hidden as well.
        let found = lseek(number, off_t(offset), seekHole)
        return found > off_t(offset) ? min(UInt64(found), size) : size
    }

    /// When it was last written, in nanoseconds since 1970.
    var modified: Int64 {
        var status = stat()
        guard fstat(number, &status) == 0 else { return 0 }
        return Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }

    /// Bytes of the file, and bytes that it takes of the disk.
    func status() throws(StorageError) -> (size: UInt64, occupied: UInt64) {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .system(errno, "look at", path) }
        return (UInt64(status.st_size), UInt64(status.st_blocks) * 512)
    }
}
