// SPDX-License-Identifier: Apache-2.0

import Glibc

/// One mapped file of slots: a page of header, then a power of two of them.
///
/// Header, little-endian: `u64` `LARDRIDX`, `u32` format 1, `u32` shard, `u64` slots, `u64` used, `u64` tombstones.
/// Mapped shared: its pages belong to the page cache, not to our anonymous memory, and outlive the process.
// Safety: `base` is mapped from init to deinit; its words are touched only under the lock of the shard that owns the
// file, but for `sync`, which only passes the address to the kernel.
final class IndexFile: @unchecked Sendable {
    static let headerByteCount = 4096
    static let slotCountMin = 1024
    private static let magic: UInt64 = 0x5844_4952_4452_414c
    private static let format: UInt32 = 1

    let slotCount: Int
    let slots: UnsafeMutablePointer<IndexSlot>
    private let base: UnsafeMutableRawPointer
    private let byteCount: Int
    private let path: String
    private let faults: DiskFaults?

    private init(_ file: Descriptor, slotCount: Int, faults: DiskFaults?) throws(StorageError) {
        byteCount = IndexFile.byteCount(slotCount)
        path = file.path
        self.slotCount = slotCount
        self.faults = faults
        try faults?.check(.map, path)
        guard let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, 0), base != MAP_FAILED
        else { throw .system(errno, "map", path) }
        self.base = base
        slots = (base + IndexFile.headerByteCount).bindMemory(to: IndexSlot.self, capacity: slotCount)
    }

    deinit { munmap(base, byteCount) }

    private static func byteCount(_ slotCount: Int) -> Int {
        headerByteCount + slotCount * MemoryLayout<IndexSlot>.stride
    }

    /// Makes an empty file.
    static func create(_ name: String, shard: Int, slotCount: Int, in folder: Folder) throws(StorageError) -> IndexFile
    {
        let descriptor = try folder.open(name, O_RDWR | O_CREAT | O_TRUNC)
        do throws(StorageError) {
            // Blocks now and not at the first touch: a full disk must be an error here, not a SIGBUS there.
            let failure = posix_fallocate(descriptor.number, 0, off_t(byteCount(slotCount)))
            guard failure == 0 else { throw StorageError.system(failure, "make room for", descriptor.path) }
            let file = try IndexFile(descriptor, slotCount: slotCount, faults: folder.faults)
            file.base.storeBytes(of: magic.littleEndian, as: UInt64.self)
            file.base.storeBytes(of: format.littleEndian, toByteOffset: 8, as: UInt32.self)
            file.base.storeBytes(of: UInt32(shard).littleEndian, toByteOffset: 12, as: UInt32.self)
            file.base.storeBytes(of: UInt64(slotCount).littleEndian, toByteOffset: 16, as: UInt64.self)
            return file
        } catch {
            try? folder.remove(name)
            throw error
        }
    }

    /// Maps a file, or says nil where there is none or it is not one of ours for this shard.
    static func open(_ name: String, shard: Int, in folder: Folder) throws(StorageError) -> IndexFile? {
        guard access(folder.path(name), F_OK) == 0 else { return nil }
        let descriptor = try folder.open(name, O_RDWR)
        let header = UnsafeMutableRawBufferPointer.allocate(byteCount: 24, alignment: 8)
        defer { header.deallocate() }
        guard try descriptor.read(into: header, at: 0) == header.count,
            UInt64(littleEndian: header.load(as: UInt64.self)) == magic,
            UInt32(littleEndian: header.load(fromByteOffset: 8, as: UInt32.self)) == format,
            UInt32(littleEndian: header.load(fromByteOffset: 12, as: UInt32.self)) == UInt32(shard),
            let count = Int(exactly: UInt64(littleEndian: header.load(fromByteOffset: 16, as: UInt64.self))),
            count >= slotCountMin, count <= 1 << 32, count & (count - 1) == 0,
            try descriptor.status().size == UInt64(byteCount(count))
        else { return nil }
        let file = try IndexFile(descriptor, slotCount: count, faults: folder.faults)
        return file.usedCount + file.tombstoneCount < count ? file : nil
    }

    var usedCount: Int {
        get { Int(base.load(fromByteOffset: 24, as: UInt64.self).littleEndian & 0xffff_ffff) }
        set { base.storeBytes(of: UInt64(newValue).littleEndian, toByteOffset: 24, as: UInt64.self) }
    }

    var tombstoneCount: Int {
        get { Int(base.load(fromByteOffset: 32, as: UInt64.self).littleEndian & 0xffff_ffff) }
        set { base.storeBytes(of: UInt64(newValue).littleEndian, toByteOffset: 32, as: UInt64.self) }
    }

    /// Changes made before are on the disk when this returns.
    func sync() throws(StorageError) {
        try faults?.check(.sync, path)
        guard msync(base, byteCount, MS_SYNC) == 0 else { throw .system(errno, "sync", path) }
    }
}
