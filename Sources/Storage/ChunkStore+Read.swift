// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content

extension ChunkStore {
    /// A slot may be replaced while its record is read: a sweep and a new insert, and that twice over at the most.
    private static let attemptCountMax = 3

    /// Reads a chunk, decoded. The hit path: one read from the disk, no allocation, no lock held over it.
    ///
    /// - Parameter out: at least as long as the chunk.
    /// - Returns: bytes of the chunk; nil where it is not here, or was corrupt and is not here any more.
    /// - Throws: ``StorageError`` `io`, or `tooLarge` where `out` is shorter than the chunk.
    public func read(_ digest: Digest, into out: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int? {
        try withRecord(of: digest) { (slot, segment) throws(StorageError) in
            guard slot.rawLength <= out.count else {
                throw StorageError(
                    .tooLarge,
                    "chunk \(digest) has \(slot.rawLength) bytes and the buffer \(out.count)"
                )
            }
            let room = UnsafeMutableRawBufferPointer(rebasing: out[..<slot.rawLength])
            guard try readRecord(of: digest, slot, segment, into: room) else { return nil }
            metrics.read(bytes: slot.rawLength)
            return slot.rawLength
        }
    }

    /// Reads a chunk, decoded.
    ///
    /// - Returns: nil where it is not here, or was corrupt and is not here any more.
    /// - Throws: ``StorageError`` `io`.
    public func read(_ digest: Digest) throws(StorageError) -> [UInt8]? {
        try withRecord(of: digest) { (slot, segment) throws(StorageError) in
            let out = UnsafeMutableRawBufferPointer.allocate(byteCount: slot.rawLength, alignment: 16)
            defer { out.deallocate() }
            guard try readRecord(of: digest, slot, segment, into: out) else { return nil }
            metrics.read(bytes: slot.rawLength)
            return [UInt8](out)
        }
    }

    /// The digest of a chunk of object data of which only 48 bits and the length are known. Where two chunks have
    /// these in common, any of them: the caller checks what it makes of it.
    ///
    /// - Returns: nil where there is none here.
    /// - Throws: ``StorageError`` `io`.
    public func digest(of prefix: DigestPrefix, length: Int) throws(StorageError) -> Digest? {
        for slot in index.find(prefix) where slot.rawLength == length && slot.kind == .data {
            guard let segment = segments[slot.segment] else { continue }
            let header = try ReadBuffer.with(RecordHeader.byteCount) { (head) throws(StorageError) -> RecordHeader? in
                guard try segment.file.read(into: head, at: slot.offset) == head.count else { return nil }
                return RecordHeader(UnsafeRawBufferPointer(head))
            }
            // Asked of the index, so that a sweep that runs does not drop it.
            if let header, slot.isOf(header), contains(header.digest) { return header.digest }
        }
        return nil
    }

    /// Reads a chunk as it is stored, checked, for another agent's store.
    ///
    /// - Returns: nil where it is not here, or was corrupt and is not here any more.
    /// - Throws: ``StorageError`` `io`.
    public func readStored(_ digest: Digest) throws(StorageError) -> StoredChunk? {
        try withRecord(of: digest) { (slot, segment) throws(StorageError) in
            guard let kind = slot.kind, let codec = slot.codec else { return nil }
            return try ReadBuffer.with(RecordHeader.byteCount + slot.storedLength) {
                (buffer) throws(StorageError) -> StoredChunk? in
                guard let payload = try payload(of: digest, slot, segment, in: buffer) else { return nil }
                metrics.read(bytes: slot.rawLength)
                return StoredChunk(
                    digest: digest, kind: kind, codec: codec, rawLength: slot.rawLength, payload: [UInt8](payload)
                )
            }
        }
    }

    /// Finds the chunk's record and calls `body`, which says nil where the record is not what it should be: the chunk
    /// is then dropped, or looked up again where its slot changed meanwhile.
    private func withRecord<R>(
        of digest: Digest, _ body: (IndexSlot, Segment) throws(StorageError) -> R?
    ) throws(StorageError) -> R? {
        for _ in 0..<ChunkStore.attemptCountMax {
            guard let slot = index.find(digest) else { return nil }
            if let segment = segments[slot.segment], let result = try body(slot, segment) { return result }
            if index.remove(digest, at: slot.place) {
                noteCorrupt(digest, slot)
                return nil
            }
        }
        return nil
    }

    private func readRecord(
        of digest: Digest, _ slot: IndexSlot, _ segment: Segment, into out: UnsafeMutableRawBufferPointer
    ) throws(StorageError) -> Bool {
        guard slot.codec == .plain else {
            return try ReadBuffer.with(RecordHeader.byteCount + slot.storedLength) { (buffer) throws(StorageError) in
                guard let codec = slot.codec, let payload = try payload(of: digest, slot, segment, in: buffer)
                else { return false }
                return Decompressor.withShared { ChunkStore.decode($0, codec, payload, into: out) }
            }
        }
        return try ReadBuffer.with(RecordHeader.byteCount) { (head) throws(StorageError) in
            guard try segment.file.read(into: head, and: out, at: slot.offset) == head.count + out.count else {
                return false
            }
            return isRecord(of: digest, slot, UnsafeRawBufferPointer(head), UnsafeRawBufferPointer(out))
        }
    }

    private static func decode(
        _ decompressor: Decompressor, _ codec: Codec, _ payload: UnsafeRawBufferPointer,
        into out: UnsafeMutableRawBufferPointer
    ) -> Bool {
        do {
            try decompressor.decompress(codec, payload, into: out)
            return true
        } catch {
            // Intact and yet malformed: what was inserted was no output of its codec. Dropped like any corrupt record.
            return false
        }
    }

    /// The checked payload of a record, read into `buffer`; nil where the record is not the one that the slot means.
    private func payload(
        of digest: Digest, _ slot: IndexSlot, _ segment: Segment, in buffer: UnsafeMutableRawBufferPointer
    ) throws(StorageError) -> UnsafeRawBufferPointer? {
        guard try segment.file.read(into: buffer, at: slot.offset) == buffer.count else { return nil }
        let head = UnsafeRawBufferPointer(rebasing: buffer[..<RecordHeader.byteCount])
        let payload = UnsafeRawBufferPointer(rebasing: buffer[RecordHeader.byteCount...])
        return isRecord(of: digest, slot, head, payload) ? payload : nil
    }

    private func isRecord(
        of digest: Digest, _ slot: IndexSlot, _ head: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer
    ) -> Bool {
        guard let header = RecordHeader(head), header.digest == digest, slot.isOf(header) else { return false }
        return RecordHeader.isIntact(head, payload, secret)
    }
}
