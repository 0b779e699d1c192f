// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Objects
import Synchronization

/// A key that is being written in this mount: one writer that all handles share, and who waits for its end.
final class StagedFile: Sendable {
    private struct State {
        var handles = 0
        /// Those that were flushed and not used since: each may be closing.
        var closing: Set<UInt64> = []
        /// The key leads here: it was created here, or this was renamed onto it. Otherwise a published version does.
        var isVisible: Bool
        /// The name is gone: what was written is dropped at the last close.
        var isUnlinked = false
        /// The last handle is closed; the publication is under way.
        var isReleasing = false
        var isOver = false
        var published: Entry?
        /// Whose inode it has by now.
        var adopted: Entry?
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    let writer: ObjectWriter
    /// Somebody read it back, perhaps by way of a private mapping: the kernel may hold pages of it.
    let wasRead = Atomic(false)
    /// Some handle is closing: a write asks for no lock otherwise.
    private let hasClosing = Atomic(false)
    private let state: NIOLockedValueBox<State>

    init(writer: ObjectWriter, isVisible: Bool) {
        self.writer = writer
        state = NIOLockedValueBox(State(isVisible: isVisible))
    }

    var isVisible: Bool { state.withLockedValue { $0.isVisible && !$0.isUnlinked } }
    /// The key leads to a published version, which this will replace.
    var isReplacement: Bool { state.withLockedValue { !$0.isVisible && !$0.isUnlinked } }
    var isReleasing: Bool { state.withLockedValue { $0.isReleasing } }
    var isUnlinked: Bool { state.withLockedValue { $0.isUnlinked } }
    /// What came of it, once it is published.
    var published: Entry? { state.withLockedValue { $0.published } }

    /// The version whose inode its inode has become, a moment before ``published``.
    var adopted: Entry? {
        get { state.withLockedValue { $0.adopted } }
        set { state.withLockedValue { $0.adopted = newValue } }
    }

    /// One more handle. Returns false where the last one is closed already: wait for the end and open what is there.
    func retain() -> Bool {
        state.withLockedValue { state in
            guard !state.isReleasing else { return false }
            state.handles += 1
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

    /// One handle less. Returns true for the last one: the caller publishes or discards, then calls ``end(_:)``.
    func release(_ handle: UInt64 = 0) -> Bool {
        state.withLockedValue { state in
            state.closing.remove(handle)
            state.handles -= 1
            guard state.handles == 0 else { return false }
            state.isReleasing = true
            return true
        }
    }

    func unlink() { state.withLockedValue { $0.isUnlinked = true } }

    func becomeVisible() { state.withLockedValue { $0.isVisible = true } }

    /// The publication is over.
    func end(_ entry: Entry?) {
        let waiters = state.withLockedValue { state in
            state.isOver = true
            state.published = entry
            defer { state.waiters = [] }
            return state.waiters
        }
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
