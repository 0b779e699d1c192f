// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOConcurrencyHelpers

/// An object's bytes while they are written, in any order: a file in `staging/` that no crash leaves behind for longer
/// than until the next open.
///
/// Every method may be called from any thread. Bytes between extents read as zeros. It does not ask the ledger: its
/// owner reserves before it writes.
public final class StagingFile: Sendable {
    private struct State {
        var size: UInt64 = 0
        var extents = Extents()
        var isClosed = false
    }

    /// The claim that the file's bytes are counted against.
    public let claim: SpaceLedger.Claim
    private let slot: StagingFolder.Slot
    private let folder: StagingFolder
    private let occupancy: Occupancy
    private let state = NIOLockedValueBox(State())

    init(in folder: StagingFolder, claim: SpaceLedger.Claim, occupancy: Occupancy) throws(StorageError) {
        self.claim = claim
        self.folder = folder
        self.occupancy = occupancy
        slot = try folder.take()
    }

    /// Goes on with the file of a process that died. What was never written is known to the disk's blocks.
    init(
        resuming name: String, in folder: StagingFolder, claim: SpaceLedger.Claim, occupancy: Occupancy
    ) throws(StorageError) {
        self.claim = claim
        self.folder = folder
        self.occupancy = occupancy
        slot = try folder.resume(name)
        let size = try slot.file.status().size
        var extents = Extents()
        var at: UInt64 = 0
        while at < size, let begin = slot.file.nextData(from: at), begin < size {
            at = slot.file.nextHole(from: begin, size: size)
            extents.insert(begin..<at)
        }
        change { state in
            state.size = size
            state.extents = extents
        }
    }

    deinit {
        close()
        // Only now: nobody is within a call that could write to a file that is another's by then. One that was within a
        // write when it was closed may have left bytes behind, which whoever has the file next would find in its holes.
        if (try? slot.file.status())?.size == 0 { folder.giveBack(slot) } else { folder.discard(slot) }
    }

    private var file: Descriptor { slot.file }

    /// Its name in `staging/`.
    public var name: String { slot.name }
    /// When it was last written, in nanoseconds since 1970.
    public var modified: Int64 { file.modified }
    /// Bytes from the start on that were all written.
    public var writtenPrefix: UInt64 {
        state.withLockedValue { $0.extents.gaps(in: 0..<$0.size).first?.lowerBound ?? $0.size }
    }

    /// Bytes of the file: the end of the furthest write or truncation.
    public var size: UInt64 { state.withLockedValue { $0.size } }
    /// Bytes that were written, holes not counted.
    public var writtenByteCount: UInt64 { state.withLockedValue { $0.extents.byteCount } }
    /// The parts of a range that were never written.
    public func gaps(in range: Range<UInt64>) -> [Range<UInt64>] {
        state.withLockedValue { $0.extents.gaps(in: range) }
    }

    /// Writes all of the bytes at an offset.
    ///
    /// - Throws: ``StorageError`` `noSpace` or `io`; a part may have been written, and the size stays as it was.
    public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(StorageError) {
        guard !bytes.isEmpty else { return }
        let (end, overflow) = offset.addingReportingOverflow(UInt64(bytes.count))
        guard !overflow, end <= UInt64(Int64.max) else {
            throw StorageError(.tooLarge, "a write at \(offset) is beyond what a file can have")
        }
        try checkOpen()
        try file.write(bytes, at: offset)
        change { state in
            state.size = max(state.size, end)
            state.extents.insert(offset..<end)
        }
    }

    /// Fills the buffer from an offset.
    ///
    /// - Returns: bytes read; fewer than the buffer has only at the file's end.
    public func read(into out: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        try checkOpen()
        let size = size
        guard offset < size else { return 0 }
        let count = Int(min(UInt64(out.count), size - offset))
        defer { withExtendedLifetime(self) {} }
        return try file.read(into: UnsafeMutableRawBufferPointer(rebasing: out[..<count]), at: offset)
    }

    /// Cuts the file, or lengthens it with a hole.
    public func truncate(to size: UInt64) throws(StorageError) {
        guard size <= UInt64(Int64.max) else {
            throw StorageError(.tooLarge, "a size of \(size) is beyond what a file can have")
        }
        try checkOpen()
        try file.truncate(to: size)
        change { state in
            state.size = size
            state.extents.truncate(to: size)
        }
    }

    /// Bytes written before survive a power loss. The file does not: it is only as durable as the process.
    public func sync() throws(StorageError) {
        try checkOpen()
        defer { withExtendedLifetime(self) {} }
        try file.sync()
    }

    /// Gives the bytes back. Later calls throw; a second close does nothing.
    public func close() {
        let wasOpen = state.withLockedValue { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard wasOpen else { return }
        // Where it cannot be cut it is removed with the last reference.
        try? file.truncate(to: 0)
        change { $0.extents.truncate(to: 0) }
    }

    private func checkOpen() throws(StorageError) {
        guard !state.withLockedValue({ $0.isClosed }) else {
            throw StorageError(.io, "the staging file \(file.path) is closed", errno: EBADF)
        }
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLockedValue { state in
            let before = state.extents.byteCount
            body(&state)
            occupancy.addStaged(state.extents.byteCount)
            occupancy.removeStaged(before)
        }
    }
}
