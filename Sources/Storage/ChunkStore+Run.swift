// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content

/// A chunk that is to be kept with others; the caller vouches that its bytes have this digest.
public struct RawChunk: Sendable {
    public let digest: Digest
    // Safety: read only during the call that it is given to.
    nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    public init(digest: Digest, bytes: UnsafeRawBufferPointer) {
        self.digest = digest
        self.bytes = bytes
    }
}

extension ChunkStore {
    /// Keeps a run of data chunks: their records are built one behind the other and written with one call where
    /// ``insert(_:kind:raw:)`` would take one for each.
    ///
    /// - Returns: how many of them were new.
    /// - Throws: ``StorageError`` `noSpace`, `io`, or `tooLarge` where one is longer than a data chunk may be. What was
    ///   written before stays.
    @discardableResult
    public func insert(_ run: [RawChunk]) throws(StorageError) -> Int {
        try RunBuffer.with { (buffer) throws(StorageError) in
            var added = 0
            for chunk in run where !contains(chunk.digest) && !buffer.contains(chunk.digest) {
                guard !chunk.bytes.isEmpty, chunk.bytes.count <= Int(Manifest.chunkLengthMax) else {
                    throw StorageError(
                        .tooLarge,
                        "chunk \(chunk.digest) has \(chunk.bytes.count) bytes: not 1 to \(Manifest.chunkLengthMax)")
                }
                if !buffer.hasRoom { added += try write(buffer) }
                buffer.append(chunk, secret: secret)
            }
            return added + (try write(buffer))
        }
    }

    /// Writes what a buffer holds, publishes its slots and empties it.
    private func write(_ buffer: RunBuffer) throws(StorageError) -> Int {
        defer { buffer.removeAll() }
        guard buffer.byteCount > 0 else { return 0 }
        let place = try reserve(UInt64(buffer.byteCount))
        var (added, at) = (0, place.offset)
        do {
            try segment(of: place).file.write(buffer.filled, at: place.offset)
            for header in buffer.headers {
                // One that another thread inserted meanwhile stays as a dead record until a sweep finds it.
                if try index.insert(header, at: Place(segment: place.segment, offset: at)) {
                    added += 1
                    metrics.inserted(recordBytes: header.recordByteCount, rawBytes: header.rawLength)
                }
                at += header.recordByteCount
            }
        } catch {
            // Room behind a slot that is published already is not given back.
            withAppender { added > 0 ? $0.finish(place) : $0.abandon(place, byteCount: UInt64(buffer.byteCount)) }
            throw error
        }
        withAppender { added > 0 ? $0.finish(place) : $0.abandon(place, byteCount: UInt64(buffer.byteCount)) }
        return added
    }
}

/// A thread's room for the records of a run.
private final class RunBuffer {
    /// Records of one write: enough that the call costs little beside the bytes, few enough to stay in the caches.
    private static let byteCountMax = 1 << 20
    private static let recordMax = RecordHeader.byteCount + Int(Manifest.chunkLengthMax) + 8
    private static let shared = PerThread { RunBuffer() }

    private let bytes = UnsafeMutableRawBufferPointer.allocate(
        byteCount: RunBuffer.byteCountMax + RunBuffer.recordMax, alignment: 64)
    private(set) var headers: [RecordHeader] = []
    private(set) var byteCount = 0

    deinit { bytes.deallocate() }

    static func with<R>(_ body: (RunBuffer) throws(StorageError) -> R) throws(StorageError) -> R {
        let buffer = shared.value
        buffer.removeAll()
        return try body(buffer)
    }

    var hasRoom: Bool { byteCount < RunBuffer.byteCountMax }
    var filled: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[..<byteCount]) }

    func contains(_ digest: Digest) -> Bool { headers.contains { $0.digest == digest } }

    func removeAll() {
        headers.removeAll(keepingCapacity: true)
        byteCount = 0
    }

    func append(_ chunk: RawChunk, secret: UInt64) {
        let record = UnsafeMutableRawBufferPointer(rebasing: bytes[byteCount...])
        let room = UnsafeMutableRawBufferPointer(rebasing: record[RecordHeader.byteCount...])
        var (codec, count) = LZ4.compress(chunk.bytes, into: room)
        if codec == .plain {
            room.copyMemory(from: chunk.bytes)
            count = chunk.bytes.count
        }
        let header = RecordHeader(
            kind: .data, codec: codec, rawLength: chunk.bytes.count, storedLength: count, digest: chunk.digest)
        header.write(to: record, payload: UnsafeRawBufferPointer(rebasing: room[..<count]), secret: secret)
        // What lies between a record's end and the next is never read, but it is written: not with others' old bytes.
        for at in RecordHeader.byteCount + count..<Int(header.recordByteCount) { record[at] = 0 }
        headers.append(header)
        byteCount += Int(header.recordByteCount)
    }
}
