// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Objects
import Synchronization

/// A key that is being written in this mount: one writer that all handles share, and who waits for its end.
final class StagedFile: Sendable {
    private struct State {
        var handles = 0
        /// Operations that change what it is or where it belongs: its publication waits for them.
        var holds = 0
        /// The last handle is closed.
        var isClosed = false
        /// Those that were flushed and not used since: each may be closing.
        var closing: Set<UInt64> = []
        /// The key leads here: it was created here, or this was renamed onto it. Otherwise a published version does.
        var isVisible: Bool
        /// The name is gone: what was written is dropped at the last close.
        var isUnlinked = false
        /// The last handle is closed and nobody holds it; the publication is under way.
        var isReleasing = false
        /// A predecessor saw that: nobody publishes it yet.
        var isLeft = false
        var isOver = false
        /// The process whose open was told to come again.
        var awaited: Int32?
        var published: Entry?
        /// Whose inode it has by now.
        var adopted: Entry?
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// The bits of a record's flags.
    enum Flag {
        static let visible: UInt16 = 1
        static let unlinked: UInt16 = 2
        /// The last handle is closed: a successor that finds none of it publishes it.
        static let releasing: UInt16 = 4
        static let modified: UInt16 = 8
        static let timePinned: UInt16 = 16
        static let durable: UInt16 = 32
        static let settled: UInt16 = 64
        /// An open was told to come again, and has a handle until then; its process stands above the mode.
        static let awaited: UInt16 = 128
    }

    let writer: ObjectWriter
    /// Somebody read it back, perhaps by way of a private mapping: the kernel may hold pages of it.
    let wasRead = Atomic(false)
    /// Some handle is closing: a write asks for no lock otherwise.
    private let hasClosing = Atomic(false)
    private let state: NIOLockedValueBox<State>
    /// Where it is kept for a successor.
    private let note: (journal: Journal, id: UInt64)?
    /// The journal has it already, as its predecessor left it.
    private let isRestored: Bool
    /// Held while the journal is told, so that what it has is no older than what it had.
    private let order = NIOLockedValueBox(())
    private let isModifiedNoted = NIOLockedValueBox(false)

    /// - Parameter note: where it is kept for a successor, and under which number.
    init(writer: ObjectWriter, isVisible: Bool, note: (journal: Journal, id: UInt64)? = nil, isRestored: Bool = false) {
        self.isRestored = isRestored
        self.writer = writer
        self.note = note
        state = NIOLockedValueBox(State(isVisible: isVisible))
    }

    /// Its number in the journal.
    var id: UInt64 { note?.id ?? 0 }

    var isVisible: Bool { state.withLockedValue { $0.isVisible && !$0.isUnlinked } }
    /// The key leads to a published version, which this will replace.
    var isReplacement: Bool { state.withLockedValue { !$0.isVisible && !$0.isUnlinked } }
    var isReleasing: Bool { state.withLockedValue { $0.isReleasing } }
    /// Handles are open.
    var isHeld: Bool { state.withLockedValue { $0.handles > 0 } }
    var isUnlinked: Bool { state.withLockedValue { $0.isUnlinked } }
    /// Its publication has ended, or was given up.
    var isOver: Bool { state.withLockedValue { $0.isOver } }
    /// What came of it, once it is published.
    var published: Entry? { state.withLockedValue { $0.published } }

    /// The version whose inode its inode has become, a moment before ``published``.
    var adopted: Entry? {
        get { state.withLockedValue { $0.adopted } }
        set { state.withLockedValue { $0.adopted = newValue } }
    }

    /// One more handle. Returns false where the last one is closed already: wait for the end and open what is there.
    func retain() -> Bool {
        order.withLockedValue { _ in
            let (isOpen, wasClosed) = state.withLockedValue { state in
                guard !state.isReleasing else { return (false, false) }
                state.handles += 1
                defer { state.isClosed = false }
                return (true, state.isClosed)
            }
            if wasClosed, let note { note.journal.change(.staged, note.id, clear: Flag.releasing) }
            return isOpen
        }
    }

    /// Keeps the publication from beginning until as many calls of ``letGo()``: it is under the name, and with the
    /// attributes, that the file has by then. No handle: closing ones need not wait for it.
    ///
    /// - Returns: false where the publication is under way: wait for its end and take what is there.
    func hold() -> Bool {
        state.withLockedValue { state in
            guard !state.isReleasing else { return false }
            state.holds += 1
            return true
        }
    }

    /// Returns true where the last handle was closed meanwhile: the caller publishes or discards, then calls
    /// ``end(_:)``.
    func letGo() -> Bool {
        state.withLockedValue { state in
            state.holds -= 1
            guard state.holds == 0, state.isClosed, !state.isReleasing else { return false }
            state.isReleasing = true
            return true
        }
    }

    /// A descriptor of a handle was closed. Returns true where all handles may be closing by now, so that a publication
    /// may follow; as long as one is in use, none does.
    func flush(_ handle: UInt64) -> Bool {
        state.withLockedValue { state in
            state.closing.insert(handle)
            hasClosing.store(true, ordering: .relaxed)
            return state.closing.count >= state.handles
        }
    }

    /// A handle is used: what was closed was not its last descriptor.
    func use(_ handle: UInt64) {
        guard hasClosing.load(ordering: .relaxed) else { return }
        state.withLockedValue { state in
            state.closing.remove(handle)
            hasClosing.store(!state.closing.isEmpty, ordering: .relaxed)
        }
    }

    /// One handle less. Returns true for the last one of a file that nobody holds: the caller publishes or discards,
    /// then calls ``end(_:)``.
    func release(_ handle: UInt64 = 0) -> Bool {
        order.withLockedValue { _ in
            let (isClosed, isLast) = state.withLockedValue { state in
                state.closing.remove(handle)
                state.handles -= 1
                guard state.handles == 0 else { return (false, false) }
                state.isClosed = true
                state.isReleasing = state.holds == 0
                return (true, state.isReleasing)
            }
            if isClosed, let note { note.journal.change(.staged, note.id, set: Flag.releasing) }
            return isLast
        }
    }

    /// A predecessor saw the last handle closed.
    func beginRelease() {
        state.withLockedValue { state in
            state.isClosed = true
            state.isReleasing = true
            state.isLeft = true
        }
    }

    /// Whether a predecessor left the publication; true once.
    func takeLeft() -> Bool {
        state.withLockedValue { state in
            defer { state.isLeft = false }
            return state.isLeft
        }
    }

    func unlink() {
        state.withLockedValue { $0.isUnlinked = true }
        set(Flag.unlinked)
    }

    /// The name is not gone after all.
    func relink() {
        state.withLockedValue { $0.isUnlinked = false }
        set(0, clear: Flag.unlinked)
    }

    func becomeVisible() {
        state.withLockedValue { $0.isVisible = true }
        set(Flag.visible)
    }

    private func set(_ flag: UInt16, clear: UInt16 = 0) {
        guard let note else { return }
        order.withLockedValue { _ in note.journal.change(.staged, note.id, set: flag, clear: clear) }
    }

    /// Keeps all of it for a successor, unless it is over.
    ///
    /// - Parameter isDetached: the version's bytes are all in the staging file: they must not be copied once more.
    private func keep(isDetached: Bool = false, isFirst: Bool = false) {
        guard let note else { return }
        // Nobody's change may come between the look at the state and the record.
        order.withLockedValue { _ in
            let state = state.withLockedValue { $0 }
            var resumable = writer.resumable
            if isDetached { resumable.base = nil }
            var flags: UInt16 = state.isVisible ? Flag.visible : 0
            if state.isUnlinked { flags |= Flag.unlinked }
            if state.isClosed { flags |= Flag.releasing }
            if resumable.isModified || isDetached || isModifiedNoted.withLockedValue({ $0 }) { flags |= Flag.modified }
            if resumable.isTimePinned { flags |= Flag.timePinned }
            if resumable.isDurable { flags |= Flag.durable }
            if writer.isSettling { flags |= Flag.settled }
            if state.awaited != nil { flags |= Flag.awaited }
            note.journal.write(resumable, note.id, flags, awaited: state.awaited ?? 0, isNew: isFirst)
        }
    }

    /// Metadata or durability changed.
    func keepChanges() { keep() }

    /// Before the first byte is written: that something is.
    func noteModified() {
        guard note != nil else { return }
        let first = isModifiedNoted.withLockedValue { isNoted in
            defer { isNoted = true }
            return !isNoted
        }
        if first { set(Flag.modified) }
    }

    /// It is kept from now on, until it is over.
    func register() {
        guard note != nil else { return }
        if !isRestored { keep(isFirst: true) }
        writer.whenDetached { [weak self] in self?.keep(isDetached: true) }
        writer.whenEnded { [note] in if let note { note.journal.remove(.staged, note.id) } }
    }

    /// An open by this process was told to come again.
    func await(pid: Int32) {
        state.withLockedValue { $0.awaited = pid }
        keep()
    }

    /// It came.
    func arrived() {
        state.withLockedValue { $0.awaited = nil }
        set(0, clear: Flag.awaited)
    }

    /// The key under which it will be published.
    func rename(to key: Key) {
        writer.rename(to: key)
        keep()
    }

    /// The last byte may have been written.
    func settle() {
        writer.settle()
        set(Flag.settled)
    }

    /// The descriptor whose close settled it was not the last, as far as can be told: nobody waits for it any more.
    func unsettle() {
        guard state.withLockedValue({ $0.handles > 0 && $0.closing.isEmpty }) else { return }
        writer.unsettle()
        set(0, clear: Flag.settled)
    }

    /// The publication is over.
    func end(_ entry: Entry?) {
        let waiters = state.withLockedValue { state in
            state.isOver = true
            state.published = entry
            defer { state.waiters = [] }
            return state.waiters
        }
        if let note { note.journal.remove(.staged, note.id) }
        for waiter in waiters { waiter.resume() }
    }

    /// Waits for the end of a publication that is under way; its length is bounded by the writer's own limits.
    func untilOver() async {
        await withCheckedContinuation { continuation in
            let now = state.withLockedValue { state in
                guard !state.isOver else { return true }
                state.waiters.append(continuation)
                return false
            }
            if now { continuation.resume() }
        }
    }
}

/// The files that a mount writes, by key.
final class StagedFiles: Sendable {
    private let files = NIOLockedValueBox<[Key: StagedFile]>([:])

    subscript(key: Key) -> StagedFile? { files.withLockedValue { $0[key] } }

    /// Adds a file unless the key has one already, which is then returned.
    func add(_ file: StagedFile, at key: Key) -> StagedFile {
        files.withLockedValue { files in
            if let other = files[key] { return other }
            files[key] = file
            file.register()
            return file
        }
    }

    func remove(_ file: StagedFile, at key: Key) {
        files.withLockedValue { if $0[key] === file { $0[key] = nil } }
    }

    /// Moves a file to another key. Returns the one that was there.
    func move(_ file: StagedFile, from: Key, to: Key) -> StagedFile? {
        files.withLockedValue { files in
            if files[from] === file { files[from] = nil }
            return files.updateValue(file, forKey: to)
        }
    }

    /// Files that settle and are open.
    var settling: [StagedFile] { files.withLockedValue { $0.values.filter { $0.isHeld && $0.writer.isSettling } } }

    /// Files whose last handle is closed and whose publication is under way.
    var releasing: [StagedFile] { files.withLockedValue { $0.values.filter(\.isReleasing) } }

    /// Files whose key lies anywhere below a directory.
    func below(_ directory: String) -> [(key: Key, file: StagedFile)] {
        files.withLockedValue { files in
            files.filter { PathText($0.key.text).isBelow(directory) }.map { ($0.key, $0.value) }
        }
    }

    /// Names in a directory that lead to files being written, in order.
    func names(in directory: String) -> [(name: String, file: StagedFile)] {
        files.withLockedValue { files in
            files.filter { $0.key.parent.utf8.elementsEqual(directory.utf8) && $0.value.isVisible }
                .map { (String($0.key.name), $0.value) }
                .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
        }
    }
}
