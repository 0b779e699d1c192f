// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

/// Decoded chunks that a request used only in part, kept for the neighbouring request of the same reader.
///
/// The kernel reads ahead in pieces that do not end where chunks end, so without this each straddling chunk would be
/// decoded twice. Slots are allocated once; the lock covers a dictionary look-up, never a decode or a copy: a slot that
/// is being filled or copied from is held by a count.
final class ChunkCache: Sendable {
    static let slotByteCount = Int(Manifest.chunkLengthMax)

    fileprivate struct Slot {
        var digest: Digest?
        var length = 0
        var holders = 0
        var filling = false
        var used: UInt64 = 0
    }

    fileprivate struct State {
        var slots: [Slot]
        var byDigest: [Digest: Int] = [:]
        var clock: UInt64 = 0
    }

    private let state: NIOLockedValueBox<State>
    // Safety: a slot's bytes are written only by the one filler while `filling`, and read only by holders after it.
    private nonisolated(unsafe) let memory: UnsafeMutableRawBufferPointer

    init(byteCount: Int) {
        let count = max(4, byteCount / ChunkCache.slotByteCount)
        memory = .allocate(byteCount: count * ChunkCache.slotByteCount, alignment: 4096)
        state = NIOLockedValueBox(State(slots: Array(repeating: Slot(), count: count)))
    }

    deinit { memory.deallocate() }

    /// Calls `body` with the chunk's decoded bytes, from a slot or decoded by `fill` into one.
    ///
    /// - Returns: nil where `fill` says that the chunk is not here, or where no slot is free (the caller decodes elsewhere).
    func withChunk(
        _ digest: Digest,
        fill: (UnsafeMutableRawBufferPointer) throws -> Int?,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) throws -> Bool? {
        let (slot, mustFill) = state.withLockedValue { $0.take(digest) }
        guard let slot else { return nil }
        let bytes = UnsafeMutableRawBufferPointer(
            rebasing: memory[slot * ChunkCache.slotByteCount..<(slot + 1) * ChunkCache.slotByteCount]
        )
        if mustFill {
            var length: Int?
            defer { state.withLockedValue { $0.filled(slot, digest, length) } }
            length = try fill(bytes)
            guard length != nil else { return false }
        }
        let length = state.withLockedValue { $0.slots[slot].length }
        body(UnsafeRawBufferPointer(rebasing: bytes[..<length]))
        state.withLockedValue { $0.slots[slot].holders -= 1 }
        return true
    }
}

extension ChunkCache.State {
    /// The slot that holds `digest`, or the least recently used free one to be filled; nil where all are held or the
    /// chunk is just being filled by another thread.
    fileprivate mutating func take(_ digest: Digest) -> (slot: Int?, mustFill: Bool) {
        clock += 1
        if let slot = byDigest[digest] {
            guard !slots[slot].filling else { return (nil, false) }
            slots[slot].holders += 1
            slots[slot].used = clock
            return (slot, false)
        }
        var victim: Int?
        for (at, slot) in slots.enumerated() where slot.holders == 0 && !slot.filling {
            if victim.map({ slots[$0].used > slot.used }) ?? true { victim = at }
        }
        guard let victim else { return (nil, false) }
        if let old = slots[victim].digest { byDigest[old] = nil }
        slots[victim] = ChunkCache.Slot(digest: digest, length: 0, holders: 0, filling: true, used: clock)
        byDigest[digest] = victim
        return (victim, true)
    }

    fileprivate mutating func filled(_ slot: Int, _ digest: Digest, _ length: Int?) {
        slots[slot].filling = false
        if let length {
            slots[slot].length = length
            slots[slot].holders = 1
        } else {
            slots[slot].digest = nil
            slots[slot].used = 0
            byDigest[digest] = nil
        }
    }
}
