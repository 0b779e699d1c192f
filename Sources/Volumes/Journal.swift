// SPDX-License-Identifier: Apache-2.0

import FUSE
import NIOConcurrencyHelpers

/// What inodes, open files and files being written mean, in memory that outlives this process.
///
/// ```
/// 0      which half is in use, and how many bytes of it; the next inode, handle and staged file
/// 4096   two halves of records: word (length, kind, live, flags), id, two numbers, payload
/// ```
/// A record is written whole before it is counted as there, and its numbers and flags are changed in place, each with
/// one store: whenever the process is killed, what is found is what was. Records that died stay until there are more of
/// them than of others; then the living are copied into the other half, which one store makes the one in use.
final class Journal: Sendable {
    enum Kind: UInt8, CaseIterable, Sendable {
        /// id: inode; a: references of the kernel.
        case node = 1
        /// id: handle; a: the request that opened it; b: inode or staged file.
        case handle = 2
        /// id: staged file; a: time; b: mode.
        case staged = 3
        /// id: ``pageID(handle:page:)``.
        case page = 4
    }

    /// The numbers that only rise.
    enum Counter: Int, Sendable {
        case inode = 16
        case handle = 24
        case staged = 32
    }

    struct Record: Sendable {
        let kind: Kind
        let flags: UInt16
        let id: UInt64
        let a: UInt64
        let b: UInt64
        let payload: [UInt8]
    }

    private struct State {
        var half = 0
        var used = 0
        var live = 0
        var places: [Kind: [UInt64: Int]] = [:]
        var isFrozen = false
        /// Records that found no room.
        var lost = 0
    }

    private static let headerByteCount = 4096
    private static let headByteCount = 32
    /// Dead records are not worth a copy below so many bytes.
    private static let leastByteCount = 4 << 20

    private let memory: SharedMemory
    private let begin: Int
    private let halfByteCount: Int
    private let state = NIOLockedValueBox(State())

    /// - Parameter begin: where the journal begins; it reaches to the memory's end.
    init(_ memory: SharedMemory, begin: Int) {
        self.memory = memory
        self.begin = begin
        halfByteCount = (memory.byteCount - begin - Journal.headerByteCount) / 2 / 4096 * 4096
        let inUse = memory.load(begin)
        state.withLockedValue { state in
            state.half = Int(inUse >> 56)
            state.used = Int(inUse & (1 << 56 - 1))
            scan(&state)
        }
    }

    static func pageID(handle: UInt64, page: Int) -> UInt64 { handle << 20 | UInt64(page) }

    /// Records that found no room: after a hand-over nobody will know what they said.
    var lostCount: Int { state.withLockedValue { $0.lost } }

    /// From here on nothing changes: what follows is a successor's.
    func freeze() { state.withLockedValue { $0.isFrozen = true } }

    func counter(_ counter: Counter) -> UInt64 { memory.load(begin + counter.rawValue) }

    func setCounter(_ counter: Counter, _ value: UInt64) { memory.store(value, begin + counter.rawValue) }

    /// Everything that lives, in the order in which it was written.
    func records() -> [Record] {
        state.withLockedValue { state in
            state.places.flatMap { kind, places in places.values.map { (kind, $0) } }
                .sorted { $0.1 < $1.1 }
                .map { read($0.0, offset(state, $0.1)) }
        }
    }

    /// Writes a record, in place of the one that its kind and id had.
    ///
    /// - Parameter isNew: whether it is written where there was none: not for what may be over meanwhile.
    func write(
        _ kind: Kind, _ id: UInt64, a: UInt64 = 0, b: UInt64 = 0, flags: UInt16 = 0, payload: [UInt8] = [],
        isNew: Bool = true
    ) {
        state.withLockedValue { state in
            guard !state.isFrozen, isNew || state.places[kind]?[id] != nil else { return }
            let length = (Journal.headByteCount + payload.count + 7) & ~7
            if state.used > max(Journal.leastByteCount, 2 * state.live) || state.used + length > halfByteCount {
                compact(&state)
            }
            guard state.used + length <= halfByteCount else {
                state.lost += 1
                return
            }
            let place = state.used
            let at = offset(state, place)
            memory.store(id, at + 8)
            memory.store(a, at + 16)
            memory.store(b, at + 24)
            let rest = memory.bytes(at + Journal.headByteCount, length - Journal.headByteCount)
            payload.withUnsafeBytes { rest.copyMemory(from: $0) }
            let word = UInt64(Journal.headByteCount + payload.count) << 32 | UInt64(kind.rawValue) << 24 | 1 << 16
            memory.store(word | UInt64(flags), at)
            state.used += length
            memory.store(UInt64(state.half) << 56 | UInt64(state.used), begin)
            state.live += length
            let old = state.places[kind, default: [:]].updateValue(place, forKey: id)
            if let old { kill(&state, old) }
        }
    }

    /// The record is of no use any more.
    func remove(_ kind: Kind, _ id: UInt64) {
        state.withLockedValue { state in
            guard !state.isFrozen, let place = state.places[kind]?.removeValue(forKey: id) else { return }
            kill(&state, place)
        }
    }

    /// Changes the first number of a record.
    func change(_ kind: Kind, _ id: UInt64, a: UInt64) { store(kind, id, 16, a) }

    /// Changes the second number of a record.
    func change(_ kind: Kind, _ id: UInt64, b: UInt64) { store(kind, id, 24, b) }

    /// Sets or clears flags of a record.
    func change(_ kind: Kind, _ id: UInt64, set: UInt16 = 0, clear: UInt16 = 0) {
        state.withLockedValue { state in
            guard !state.isFrozen, let place = state.places[kind]?[id] else { return }
            let at = offset(state, place)
            let word = memory.load(at)
            let flags = UInt16(truncatingIfNeeded: word) & ~clear | set
            memory.store(word & ~0xffff | UInt64(flags), at)
        }
    }

    private func store(_ kind: Kind, _ id: UInt64, _ field: Int, _ value: UInt64) {
        state.withLockedValue { state in
            guard !state.isFrozen, let place = state.places[kind]?[id] else { return }
            memory.store(value, offset(state, place) + field)
        }
    }

    private func offset(_ state: State, _ place: Int) -> Int {
        begin + Journal.headerByteCount + state.half * halfByteCount + place
    }

    private func length(_ word: UInt64) -> Int { Int(word >> 32) }

    private func paddedLength(_ word: UInt64) -> Int { (length(word) + 7) & ~7 }

    private func kill(_ state: inout State, _ place: Int) {
        let at = offset(state, place)
        let word = memory.load(at)
        memory.store(word & ~(1 << 16), at)
        state.live -= paddedLength(word)
    }

    private func read(_ kind: Kind, _ at: Int) -> Record {
        let word = memory.load(at)
        let count = length(word) - Journal.headByteCount
        return Record(
            kind: kind, flags: UInt16(truncatingIfNeeded: word), id: memory.load(at + 8), a: memory.load(at + 16),
            b: memory.load(at + 24), payload: Array(memory.bytes(at + Journal.headByteCount, count)))
    }

    /// Finds what lives; of two of one id, of which a kill left the older alive, the later.
    private func scan(_ state: inout State) {
        var place = 0
        while place + Journal.headByteCount <= state.used {
            let at = offset(state, place)
            let word = memory.load(at)
            guard length(word) >= Journal.headByteCount else { break }
            if word & (1 << 16) != 0, let kind = Kind(rawValue: UInt8(truncatingIfNeeded: word >> 24)) {
                state.live += paddedLength(word)
                let old = state.places[kind, default: [:]].updateValue(place, forKey: memory.load(at + 8))
                if let old { kill(&state, old) }
            }
            place += paddedLength(word)
        }
    }

    private func compact(_ state: inout State) {
        let other = 1 - state.half
        var (used, places) = (0, [Kind: [UInt64: Int]]())
        for (kind, old) in state.places {
            var new: [UInt64: Int] = [:]
            new.reserveCapacity(old.count)
            for (id, place) in old.sorted(by: { $0.value < $1.value }) {
                let from = offset(state, place)
                let count = paddedLength(memory.load(from))
                let to = begin + Journal.headerByteCount + other * halfByteCount + used
                memory.bytes(to, count).copyMemory(from: UnsafeRawBufferPointer(memory.bytes(from, count)))
                new[id] = used
                used += count
            }
            places[kind] = new
        }
        memory.store(UInt64(other) << 56 | UInt64(used), begin)
        let old = begin + Journal.headerByteCount + state.half * halfByteCount
        memory.discard(old, (state.used + 4095) / 4096 * 4096)
        state.half = other
        state.used = used
        state.live = used
        state.places = places
    }
}
