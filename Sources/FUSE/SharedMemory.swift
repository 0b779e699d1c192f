// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// A mapping that outlives this process: what is written here, a successor finds. Fields are 64 bits at offsets that
/// are multiples of 8.
public final class SharedMemory: @unchecked Sendable {
    // Safety: single fields are read and written atomically; who owns which range of bytes is the users' to agree on,
    // and each says so.
    private let base: UnsafeMutableRawPointer
    public let byteCount: Int

    /// Maps all of a memory file.
    /// - Throws: `.memory`.
    public init(_ descriptor: Int32) throws(FUSEError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size > 0 else {
            throw FUSEError(.memory, "the holder's memory has no size", cause: Errno(rawValue: errno))
        }
        byteCount = Int(status.st_size)
        guard let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), base != MAP_FAILED
        else {
            throw FUSEError(.memory, "\(byteCount) bytes cannot be mapped", cause: Errno(rawValue: errno))
        }
        self.base = base
    }

    deinit { munmap(base, byteCount) }

    /// A field, with everything that was written before it was.
    public func load(_ offset: Int) -> UInt64 { cfuse_load(base + offset) }

    /// Sets a field, after everything that was written before.
    public func store(_ value: UInt64, _ offset: Int) { cfuse_store(base + offset, value) }

    /// The bytes at an offset.
    public func bytes(_ offset: Int, _ count: Int) -> UnsafeMutableRawBufferPointer {
        precondition(offset >= 0 && count >= 0 && offset + count <= byteCount, "outside of the shared memory")
        return UnsafeMutableRawBufferPointer(start: base + offset, count: count)
    }

    /// Makes the pages resident for good: a page fault within a read of the device, met by a kill, would fail the
    /// request that is being read. Where locking is not allowed the pages are touched, which is as good without swap.
    func lock(_ offset: Int, _ count: Int) {
        guard mlock(base + offset, count) != 0 else { return }
        for at in stride(from: offset, to: offset + count, by: 4096) {
            let byte = (base + at).assumingMemoryBound(to: UInt8.self)
            byte.pointee = byte.pointee
        }
    }

    /// Gives the pages of a range back; they read as zeros from then on.
    public func discard(_ offset: Int, _ count: Int) { madvise(base + offset, count, Int32(MADV_REMOVE)) }
}
