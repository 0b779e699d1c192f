// SPDX-License-Identifier: Apache-2.0

import Content
import Storage

/// A buffer for one chunk at a time.
final class ChunkScratch {
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Int(Manifest.chunkLengthMax),
        alignment: 64
    )

    deinit { buffer.deallocate() }

    /// The chunk's bytes, good until the next read; nil where it is not here.
    func read(_ digest: Digest, from store: ChunkStore) throws(StorageError) -> UnsafeRawBufferPointer? {
        try store.read(digest, into: buffer).map { UnsafeRawBufferPointer(rebasing: buffer[..<$0]) }
    }
}

/// Reads ranges of an object by way of its chunks, the last one kept.
final class SequenceReader {
    private let chunks: [ChunkReference]
    private let store: ChunkStore
    private var offsets: [UInt64] = [0]
    private let scratch = ChunkScratch()
    private var last: (chunk: Int, bytes: UnsafeRawBufferPointer)?

    init(_ sequence: ChunkSequence, _ store: ChunkStore) {
        chunks = sequence.chunks
        self.store = store
        offsets.reserveCapacity(chunks.count + 1)
        for chunk in chunks { offsets.append(offsets[offsets.count - 1] + UInt64(chunk.length)) }
    }

    var size: UInt64 { offsets[chunks.count] }

    /// Fills the buffer from an offset as far as the object and what is here of it go.
    func read(_ offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var done = 0
        while done < buffer.count, offset + UInt64(done) < size {
            let at = offset + UInt64(done)
            let chunk = index(of: at)
            guard let bytes = try load(chunk) else { break }
            let from = Int(at - offsets[chunk])
            let count = min(buffer.count - done, bytes.count - from)
            UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + count]))
            done += count
        }
        return done
    }

    private func load(_ chunk: Int) throws -> UnsafeRawBufferPointer? {
        if let last, last.chunk == chunk { return last.bytes }
        last = nil
        guard let bytes = try scratch.read(chunks[chunk].digest, from: store), bytes.count == chunks[chunk].length
        else { return nil }
        last = (chunk, bytes)
        return bytes
    }

    private func index(of offset: UInt64) -> Int {
        var low = 0
        var high = chunks.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if offsets[middle] <= offset { low = middle } else { high = middle }
        }
        return low
    }
}
