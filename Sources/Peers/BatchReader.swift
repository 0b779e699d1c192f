// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Storage

/// Reads the wanted chunks of one request in order and puts them into batches. A value: it goes to a thread that may
/// read and comes back. Holds the chunks of the batch under way.
struct BatchReader: Sendable {
    struct Read: Sendable {
        let batch: DeltaBatch
        /// The batch's chunks, one after another.
        let raw: [UInt8]
    }

    private struct Wanted: Sendable {
        let digest: Digest
        let length: Int
        let offset: UInt64
        let expected: BasePosition?
    }

    private let store: ChunkStore
    private let wanted: [Wanted]
    private var position = 0
    private var planner: DeltaPlanner
    private var raw: [UInt8] = []

    /// - Parameter selections: with the list of each block.
    init(
        _ source: DeltaSource, _ selections: some Sequence<(BlockSelection, BlockList)>, of manifest: Manifest,
        _ store: ChunkStore
    ) {
        self.store = store
        planner = source.planner()
        var wanted: [Wanted] = []
        var (block, start) = (0, UInt64(0))
        for (selection, list) in selections {
            while block < selection.block {
                start += manifest.blocks[block].length
                block += 1
            }
            var (at, offset) = (0, start)
            for index in selection.chunks {
                while at < index {
                    offset += UInt64(list.chunks[at].length)
                    at += 1
                }
                let chunk = list.chunks[index]
                let expected = source.expected(block, index)
                wanted.append(
                    Wanted(digest: chunk.digest, length: Int(chunk.length), offset: offset, expected: expected))
            }
        }
        self.wanted = wanted
    }

    /// The next batch; nil after the last one. What is not here any more is in none.
    ///
    /// - Throws: ``StorageError``.
    mutating func next() throws(StorageError) -> Read? {
        let scratch = ChunkScratch()
        while position < wanted.count {
            let chunk = wanted[position]
            position += 1
            guard let bytes = try scratch.read(chunk.digest, from: store), bytes.count == chunk.length else {
                if let batch = planner.skip() { return take(batch, rest: nil) }
                continue
            }
            if let batch = planner.append(bytes, at: chunk.offset, expected: chunk.expected) {
                return take(batch, rest: bytes)
            }
            raw += bytes
        }
        return planner.close().map { take($0, rest: nil) }
    }

    private mutating func take(_ batch: DeltaBatch, rest: UnsafeRawBufferPointer?) -> Read {
        defer { raw = rest.map { Array($0) } ?? [] }
        return Read(batch: batch, raw: raw)
    }
}
