// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The requests that an agent has read and not answered, in memory that outlives it.
///
/// ```
/// 0        mark, epoch (the holder's), layout, length of INIT, INIT, what was agreed on
/// 4096     heads of slots: state, unique, flags, outcome, value
/// 8192     notes: what is known of requests that the kernel will send again
/// …        parked: a head and a request of up to 960 bytes, one for each that a task answers
/// …        slots: the buffers that requests are read into, as long as the kernel may send
/// ```
/// A slot is occupied where its state is 1 and its first word, which the kernel writes last of all by returning, is not
/// 0. A request is copied to a parked place before its slot is emptied, so one may be found twice; never not at all.
final class RequestMemory: @unchecked Sendable {
    // Safety: a slot belongs to the worker that took it, a parked place to the pending reply that took it; `free`,
    // `places` and `notes` are touched under their monitor's lock.
    static let mark: UInt64 = 0x3152_4544_5241_4c  // LARDER1
    static let layout: UInt64 = 1
    static let slotCount = 64
    /// 256 pages and a page for the head of the request: what libfuse offers the kernel.
    static let slotByteCount = 257 * 4096
    static let parkedCount = PendingReplies.countMax
    static let parkedByteCount = 1024
    static let headByteCount = 64
    static let noteCount = 4096
    static let noteByteCount = 32
    private static let initMax = 256
    private static let headsOffset = 4096
    private static let notesOffset = 8192
    private static let parkedOffset = notesOffset + noteCount * noteByteCount
    private static let slotsOffset = (parkedOffset + parkedCount * parkedByteCount + 4095) / 4096 * 4096
    static let byteCount = slotsOffset + slotCount * slotByteCount

    /// The bit that the kernel sets in a request that it sends again.
    static let resentBit: UInt64 = 1 << 63

    enum Field {
        static let mark = 0
        static let epoch = 8
        static let layout = 16
        static let initLength = 24
        static let initBytes = 32
        static let agreement = 512
    }

    /// Where the fields of a head are.
    enum Head {
        static let state = 0
        static let unique = 8
        static let flags = 16
        static let outcome = 24
        static let value = 32
    }

    /// Bits of a head's flags.
    enum Flag {
        static let begun: UInt64 = 1
        static let done: UInt64 = 2
        static let value: UInt64 = 4
    }

    let memory: SharedMemory
    private let free = Monitor([Int]())
    private let places = Monitor([Int]())
    private let notes = Monitor([UInt64: (place: Int, replay: Replay)]())

    init(_ memory: SharedMemory) { self.memory = memory }

    // MARK: the mount

    /// Marks memory that is new, and refuses memory that another build wrote in another way.
    /// - Throws: `.profile`.
    func open() throws(FUSEError) {
        if memory.load(Field.mark) == 0 {
            memory.store(RequestMemory.layout, Field.layout)
            memory.store(RequestMemory.mark, Field.mark)
        }
        let layout = memory.load(Field.layout)
        guard memory.byteCount >= HeldMount.byteCount, memory.load(Field.mark) == RequestMemory.mark,
            layout == RequestMemory.layout
        else {
            throw FUSEError(
                .profile,
                "the mount's memory has layout \(layout) and this program reads \(RequestMemory.layout): run the "
                    + "version that made the mount, or stop the holder, which ends the mount"
            )
        }
    }

    var epoch: UInt64 { memory.load(Field.epoch) }

    /// The kernel's INIT, where a session had it.
    var savedInit: UnsafeMutableRawBufferPointer? {
        let length = Int(memory.load(Field.initLength))
        return length > 0 && length <= RequestMemory.initMax ? memory.bytes(Field.initBytes, length) : nil
    }

    func save(init request: UnsafeRawBufferPointer) {
        guard request.count <= RequestMemory.initMax else { return }
        memory.bytes(Field.initBytes, request.count).copyMemory(from: request)
        memory.store(UInt64(request.count), Field.initLength)
    }

    // MARK: slots

    static func head(ofSlot slot: Int) -> Int { headsOffset + slot * headByteCount }
    static func head(ofParked place: Int) -> Int { parkedOffset + place * parkedByteCount }
    func data(ofSlot slot: Int) -> UnsafeMutableRawBufferPointer {
        memory.bytes(RequestMemory.slotsOffset + slot * RequestMemory.slotByteCount, RequestMemory.slotByteCount)
    }

    /// Every slot and place is free but those that are occupied.
    func findFree() {
        let occupied = Set((0..<RequestMemory.slotCount).filter(isOccupied))
        free.change { $0 = (0..<RequestMemory.slotCount).reversed().filter { !occupied.contains($0) } }
        let unoccupied = (0..<RequestMemory.parkedCount).reversed().filter {
            memory.load(RequestMemory.head(ofParked: $0) + Head.state) == 0
        }
        places.change { $0 = unoccupied }
    }

    /// A slot of the caller's own; waits for one.
    func takeSlot() -> Int {
        free.wait { !$0.isEmpty }
        guard let slot = free.withLock({ $0.popLast() }) else { return takeSlot() }
        memory.lock(RequestMemory.slotsOffset + slot * RequestMemory.slotByteCount, RequestMemory.slotByteCount)
        empty(slot)
        memory.store(1, RequestMemory.head(ofSlot: slot) + Head.state)
        return slot
    }

    /// The slot's request is answered, or kept elsewhere; the slot stays its worker's.
    func empty(_ slot: Int) {
        data(ofSlot: slot).storeBytes(of: 0, as: UInt32.self)
        memory.store(0, RequestMemory.head(ofSlot: slot) + Head.flags)
    }

    func giveBack(_ slot: Int) {
        empty(slot)
        memory.store(0, RequestMemory.head(ofSlot: slot) + Head.state)
        free.change { $0.append(slot) }
    }

    private func isOccupied(_ slot: Int) -> Bool {
        memory.load(RequestMemory.head(ofSlot: slot) + Head.state) == 1 && length(ofSlot: slot) != 0
    }

    private func length(ofSlot slot: Int) -> Int { Int(data(ofSlot: slot).load(as: UInt32.self)) }

    // MARK: requests that are answered later

    /// Keeps a request for its answer. Returns the head under which it is kept, and whether the slot is free again.
    func park(_ slot: Int) -> (head: Int, isMoved: Bool) {
        let from = RequestMemory.head(ofSlot: slot)
        let flags = memory.load(from + Head.flags) | Flag.begun
        let length = length(ofSlot: slot)
        guard length <= RequestMemory.parkedByteCount - RequestMemory.headByteCount,
            let place = places.withLock({ $0.popLast() })
        else {
            memory.store(flags, from + Head.flags)
            return (from, false)
        }
        let to = RequestMemory.head(ofParked: place)
        memory.bytes(to + RequestMemory.headByteCount, length)
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: data(ofSlot: slot)[..<length]))
        for field in [Head.unique, Head.outcome, Head.value] { memory.store(memory.load(from + field), to + field) }
        memory.store(flags, to + Head.flags)
        memory.store(1, to + Head.state)
        empty(slot)
        return (to, true)
    }

    /// The effect is done: what follows is the answer.
    func finished(_ head: Int, _ outcome: Errno) {
        memory.store(UInt64(truncatingIfNeeded: outcome.rawValue), head + Head.outcome)
        memory.store(memory.load(head + Head.flags) | Flag.done, head + Head.flags)
    }

    /// The answer was sent.
    func release(_ head: Int) {
        if head < RequestMemory.notesOffset {
            giveBack((head - RequestMemory.headsOffset) / RequestMemory.headByteCount)
        } else {
            memory.store(0, head + Head.state)
            let place = (head - RequestMemory.parkedOffset) / RequestMemory.parkedByteCount
            places.withLock { $0.append(place) }
        }
    }

    func note(_ value: UInt64, _ slot: Int) {
        let head = RequestMemory.head(ofSlot: slot)
        memory.store(value, head + Head.value)
        memory.store(memory.load(head + Head.flags) | Flag.value, head + Head.flags)
    }

    // MARK: what a predecessor left

    /// A request as a predecessor left it.
    struct Inherited: @unchecked Sendable {
        // Safety: the bytes are the memory's, and this session's alone since its epoch began.
        let unique: UInt64
        let opcode: UInt32
        let head: Int
        let bytes: UnsafeMutableRawBufferPointer
    }

    /// Requests that were read and not answered, each once, in the order in which the kernel made them.
    func inherited() -> [Inherited] {
        var found: [UInt64: Inherited] = [:]
        func add(_ head: Int, _ bytes: UnsafeMutableRawBufferPointer) {
            let unique = bytes.load(fromByteOffset: 8, as: UInt64.self) & ~RequestMemory.resentBit
            if found[unique] != nil { return release(head) }
            let opcode = bytes.load(fromByteOffset: 4, as: UInt32.self)
            found[unique] = Inherited(unique: unique, opcode: opcode, head: head, bytes: bytes)
        }
        for place in 0..<RequestMemory.parkedCount {
            let head = RequestMemory.head(ofParked: place)
            guard memory.load(head + Head.state) == 1 else { continue }
            let at = head + RequestMemory.headByteCount
            let length = Int(memory.bytes(at, 4).load(as: UInt32.self))
            add(head, memory.bytes(at, min(length, RequestMemory.parkedByteCount - RequestMemory.headByteCount)))
        }
        for slot in 0..<RequestMemory.slotCount where isOccupied(slot) {
            let length = min(length(ofSlot: slot), RequestMemory.slotByteCount)
            add(
                RequestMemory.head(ofSlot: slot), UnsafeMutableRawBufferPointer(rebasing: data(ofSlot: slot)[..<length])
            )
        }
        return found.values.sorted { $0.unique < $1.unique }
    }

    func replay(_ head: Int) -> Replay {
        let flags = memory.load(head + Head.flags)
        let outcome = Int32(truncatingIfNeeded: memory.load(head + Head.outcome))
        return Replay(
            outcome: flags & Flag.done != 0 ? Errno(rawValue: outcome) : nil,
            isBegun: flags & Flag.begun != 0,
            value: flags & Flag.value != 0 ? memory.load(head + Head.value) : nil
        )
    }

    /// Puts an inherited request into a slot, with what is known of it.
    func adopt(_ request: Inherited, into slot: Int) {
        let to = RequestMemory.head(ofSlot: slot)
        let target = data(ofSlot: slot)
        let rest = UnsafeRawBufferPointer(rebasing: request.bytes[4...])
        UnsafeMutableRawBufferPointer(rebasing: target[4...]).copyMemory(from: rest)
        for field in [Head.unique, Head.flags, Head.outcome, Head.value] {
            memory.store(memory.load(request.head + field), to + field)
        }
        target.storeBytes(of: UInt32(request.bytes.count), as: UInt32.self)
        release(request.head)
    }

    // MARK: notes of requests that the kernel sends again

    /// Keeps what is known of inherited requests, and gives their places back: the kernel will send them again.
    func keepNotes(of requests: [Inherited]) {
        notes.change { notes in
            for place in 0..<RequestMemory.noteCount {
                let at = RequestMemory.notesOffset + place * RequestMemory.noteByteCount
                let unique = memory.load(at)
                guard unique != 0 else { continue }
                // One that was not sent again by now had its answer.
                if memory.load(at + 8) & (1 << 32) != 0 {
                    memory.store(0, at)
                } else {
                    memory.store(memory.load(at + 8) | 1 << 32, at + 8)
                    notes[unique] = (place, note(at))
                }
            }
        }
        for request in requests {
            let flags = memory.load(request.head + Head.flags)
            if flags != 0 { keep(request, flags) }
            release(request.head)
        }
    }

    private func keep(_ request: Inherited, _ flags: UInt64) {
        notes.change { notes in
            let taken = Set(notes.values.map(\.place))
            guard let place = (0..<RequestMemory.noteCount).first(where: { !taken.contains($0) }) else { return }
            let at = RequestMemory.notesOffset + place * RequestMemory.noteByteCount
            memory.store(flags, at + 8)
            memory.store(memory.load(request.head + Head.outcome), at + 16)
            memory.store(memory.load(request.head + Head.value), at + 24)
            memory.store(request.unique, at)
            notes[request.unique] = (place, note(at))
        }
    }

    private func note(_ at: Int) -> Replay {
        let flags = memory.load(at + 8)
        return Replay(
            outcome: flags & Flag.done != 0 ? Errno(rawValue: Int32(truncatingIfNeeded: memory.load(at + 16))) : nil,
            isBegun: flags & Flag.begun != 0,
            value: flags & Flag.value != 0 ? memory.load(at + 24) : nil
        )
    }

    /// A request begins. One that the kernel sent again gets what was known of it.
    func begin(_ slot: Int, unique: UInt64) {
        let head = RequestMemory.head(ofSlot: slot)
        let plain = unique & ~RequestMemory.resentBit
        memory.store(plain, head + Head.unique)
        guard unique != plain, let note = notes.withLock({ $0[plain] }) else { return }
        let at = RequestMemory.notesOffset + note.place * RequestMemory.noteByteCount
        memory.store(memory.load(at + 16), head + Head.outcome)
        memory.store(memory.load(at + 24), head + Head.value)
        memory.store(memory.load(at + 8) & 7, head + Head.flags)
        memory.store(0, at)
        _ = notes.change { $0.removeValue(forKey: plain) }
    }
}
