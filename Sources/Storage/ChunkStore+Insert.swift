// SPDX-License-Identifier: Apache-2.0

public import Chunking
public import Content

extension ChunkStore {
    /// Keeps a chunk, compressed where that pays. The caller vouches that `raw` has this digest.
    ///
    /// - Returns: false where it was here already; it is then kept from a sweep that is under way.
    /// - Throws: ``StorageError`` `noSpace`, `io`, or `tooLarge` where it has 256 MiB or more.
    public func insert(
        _ digest: Digest, kind: ChunkKind, raw: UnsafeRawBufferPointer
    ) throws(StorageError) -> Bool {
        guard !contains(digest) else { return false }
        return try ReadBuffer.with(raw.count) { (out) throws(StorageError) in
            let (codec, count) = LZ4.compress(raw, into: out)
            let payload = codec == .plain ? raw : UnsafeRawBufferPointer(rebasing: out[..<count])
            return try insert(digest, kind: kind, codec: codec, rawLength: raw.count, payload: payload)
        }
    }

    /// Keeps a chunk whose bytes are in a codec already. The caller vouches that, decoded, they have this digest.
    ///
    /// - Returns: false where it was here already, also where another thread inserted it meanwhile.
    /// - Throws: ``StorageError`` `noSpace`, `io`, or `tooLarge` where it has no bytes, or 256 MiB or more.
    public func insert(
        _ digest: Digest, kind: ChunkKind, codec: Codec, rawLength: Int, payload: UnsafeRawBufferPointer
    ) throws(StorageError) -> Bool {
        guard !contains(digest) else { return false }
        let lengths = 1...RecordHeader.lengthMax
        guard lengths.contains(rawLength), lengths.contains(payload.count),
            codec != .plain || payload.count == rawLength
        else {
            throw StorageError(
                .tooLarge, "chunk \(digest) has \(rawLength) bytes, stored \(payload.count): not 1 to 256 MiB"
            )
        }
        let header = RecordHeader(
            kind: kind, codec: codec, rawLength: rawLength, storedLength: payload.count, digest: digest
        )
        let place = try reserve(header.recordByteCount)
        let isNew: Bool
        do {
            try write(header, payload, at: place)
            isNew = try index.insert(header, at: place)
        } catch {
            withAppender { $0.abandon(place, byteCount: header.recordByteCount) }
            throw error
        }
        guard isNew else {
            withAppender { $0.abandon(place, byteCount: header.recordByteCount) }
            return false
        }
        withAppender { $0.finish(place) }
        metrics.inserted(recordBytes: header.recordByteCount, rawBytes: rawLength)
        return true
    }

    private func write(
        _ header: RecordHeader, _ payload: UnsafeRawBufferPointer, at place: Place
    ) throws(StorageError) {
        let segment = try segment(of: place)
        try withUnsafeTemporaryAllocation(byteCount: RecordHeader.byteCount, alignment: 8) {
            (head) throws(StorageError) in
            header.write(to: head, payload: payload, secret: secret)
            try segment.file.write(UnsafeRawBufferPointer(head), and: payload, at: place.offset)
        }
    }

    /// The segment of a place that was reserved.
    func segment(of place: Place) throws(StorageError) -> Segment {
        guard let segment = segments[place.segment] else {
            throw StorageError(.io, "segment \(Segment.name(place.segment)) is gone while it is written")
        }
        return segment
    }

    /// A place for records; makes the next segment where the active one is full.
    func reserve(_ byteCount: UInt64) throws(StorageError) -> Place {
        while true {
            switch withAppender({ $0.reserve(byteCount) }) {
            case .place(let place): return place
            case .needsSegment(let number): try addSegment(number, for: byteCount)
            }
        }
    }

    private func addSegment(_ number: UInt32, for byteCount: UInt64) throws(StorageError) {
        guard number <= IndexSlot.segmentMax else {
            throw StorageError(
                .unsupported,
                "the store has used up its \(IndexSlot.segmentMax) segments: make a new one"
            )
        }
        let segment = try Segment.create(number, in: folder, secret: secret)
        // Readers must find the segment before the first record in it has a slot.
        segments.add(segment)
        if withAppender({ $0.install(number, for: byteCount) }) { return }
        segments.remove(number)
        try folder.remove(Segment.name(number))
    }
}
