// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Synchronization

/// How far a scrub has come.
public struct ScrubPosition: Sendable, Hashable {
    let shard: Int
    let slot: Int

    /// The beginning.
    public static let start = ScrubPosition(shard: 0, slot: 0)
}

/// One step of a scrub.
public struct ScrubStep: Sendable {
    /// Where to go on; nil after the last chunk.
    public let next: ScrubPosition?
    /// Bytes read from the disk.
    public let bytes: UInt64
    public let chunks: Int
    /// Corrupt records among them, dropped.
    public let corrupt: Int
}

extension ChunkStore {
    /// Chunks of one step between looks at the budget.
    private static let scrubBatch = 64

    /// Checks chunks from a position on until about `byteBudget` bytes were read, by checksum, codec and SHA-256.
    ///
    /// A step and not a loop: the caller paces it, and stops when it likes. A chunk that moves meanwhile may be checked
    /// twice or not at all in a round.
    ///
    /// - Throws: ``StorageError`` `io`.
    public func scrub(from position: ScrubPosition, byteBudget: UInt64) throws(StorageError) -> ScrubStep {
        var at: ScrubPosition? = position
        var (bytes, chunks, corrupt): (UInt64, Int, Int) = (0, 0, 0)
        while let here = at, bytes < byteBudget {
            let (slots, next) = index.slots(from: here, limit: ChunkStore.scrubBatch)
            for slot in slots {
                bytes += slot.recordByteCount
                chunks += 1
                if try !check(slot) { corrupt += 1 }
            }
            at = next
        }
        return ScrubStep(next: at, bytes: bytes, chunks: chunks, corrupt: corrupt)
    }

    /// - Returns: false where the record was corrupt and its chunk was dropped.
    private func check(_ slot: IndexSlot) throws(StorageError) -> Bool {
        // A slot holds half of the digest; the record has the whole.
        guard let segment = segments[slot.segment],
            let header = try SegmentScanner(segment: segment, secret: secret).header(at: slot.offset), slot.isOf(header)
        else { return dropByPlace(slot) }
        let before = corruptCount.load(ordering: .relaxed)
        guard let bytes = try read(header.digest) else {
            // Nil is also the answer for a chunk that was swept meanwhile.
            return corruptCount.load(ordering: .relaxed) == before
        }
        guard Digest.sha256(of: bytes) == header.digest else { return !drop(header.digest) }
        return true
    }

    private func dropByPlace(_ slot: IndexSlot) -> Bool {
        guard index.remove(slot) else { return true }
        noteCorrupt(nil, slot)
        return false
    }
}
