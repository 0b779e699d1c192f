// SPDX-License-Identifier: Apache-2.0

/// Walks the records of a segment without the index: after a crash, and where the index is lost.
///
/// Where no record begins, because a write was torn, space was punched out or bytes were damaged, it searches for the
/// next multiple of 8 with an intact record; holes are skipped without being read.
struct SegmentScanner {
    private static let windowByteCount = 256 << 10

    let segment: Segment
    let secret: UInt64

    /// Calls `found` for every record from an offset on.
    ///
    /// - Parameters:
    ///   - trust: says of a header that its record need not be checked.
    ///   - found: told each record that is trusted or intact.
    /// - Returns: the offset after the last of them; `start` where there is none.
    func scan(
        from start: UInt64, to end: UInt64, trust: (RecordHeader, UInt64) -> Bool,
        found: (RecordHeader, UInt64) throws(StorageError) -> Void
    ) throws(StorageError) -> UInt64 {
        var (at, last) = (start, start)
        while at < end {
            if let header = try header(at: at), at + UInt64(RecordHeader.byteCount + header.storedLength) <= end {
                let trusted = trust(header, at)
                let intact = trusted ? true : try isIntact(header, at: at)
                if intact {
                    try found(header, at)
                    at += header.recordByteCount
                    last = at
                    continue
                }
            }
            guard let next = try nextMagic(from: at + 8, to: end) else { break }
            at = next
        }
        return last
    }

    /// What stands at an offset, if it looks like a record's head. Its checksum is not looked at.
    func header(at offset: UInt64) throws(StorageError) -> RecordHeader? {
        try ReadBuffer.with(RecordHeader.byteCount) { (head) throws(StorageError) in
            guard try segment.file.read(into: head, at: offset) == head.count else { return nil }
            return RecordHeader(UnsafeRawBufferPointer(head))
        }
    }

    private func isIntact(_ header: RecordHeader, at offset: UInt64) throws(StorageError) -> Bool {
        try ReadBuffer.with(RecordHeader.byteCount + header.storedLength) { (buffer) throws(StorageError) in
            guard try segment.file.read(into: buffer, at: offset) == buffer.count else { return false }
            let head = UnsafeRawBufferPointer(rebasing: buffer[..<RecordHeader.byteCount])
            let payload = UnsafeRawBufferPointer(rebasing: buffer[RecordHeader.byteCount...])
            return RecordHeader.isIntact(head, payload, secret)
        }
    }

    /// The next offset at which a record's magic number stands where it should.
    private func nextMagic(from start: UInt64, to end: UInt64) throws(StorageError) -> UInt64? {
        let window = UnsafeMutableRawBufferPointer.allocate(byteCount: SegmentScanner.windowByteCount, alignment: 8)
        defer { window.deallocate() }
        var at = start
        while at < end {
            // Down to the multiple of 8 at or before the data: holes end at blocks.
            guard let data = segment.file.nextData(from: at) else { return nil }
            at = max(at, data & ~7)
            let count = try segment.file.read(into: window, at: at)
            var offset = 0
            while offset + RecordHeader.byteCount <= count {
                let word = UInt32(littleEndian: window.load(fromByteOffset: offset + 8, as: UInt32.self))
                if word == RecordHeader.magic { return at + UInt64(offset) }
                offset += 8
            }
            guard count == window.count else { return nil }
            at += UInt64(offset)
        }
        return nil
    }
}
