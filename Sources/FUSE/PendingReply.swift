// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// An answer that is given later, from any thread, once: a second one is a programming error and traps. One that is
/// dropped answers EIO. After the session's end answers go nowhere.
///
/// The methods that return a Bool return false if the kernel gave the request up before the answer: what the answer
/// would have told it (a lookup, an open handle) it does not know of and will never release.
public final class PendingReply: Sendable {
    private let core: SessionCore
    private let token: PendingReplies.Token
    /// The caller's buffer for an extended attribute.
    private let limit: Int
    private let answered = Atomic<Bool>(false)

    init(core: SessionCore, token: PendingReplies.Token, limit: Int) {
        self.core = core
        self.token = token
        self.limit = limit
    }

    deinit {
        if !answered.load(ordering: .acquiring) { error(.io) }
    }

    /// A name; inode 0 says that there is none, and the entry timeout for how long that holds.
    @discardableResult
    public func found(_ found: Found) -> Bool {
        answer { $0.found(found) }
    }

    /// `timeout`: seconds for which they hold.
    public func attributes(_ attributes: Attributes, timeout: Double) {
        answer { $0.attributes(attributes, timeout: timeout) }
    }

    /// What was read; fewer bytes than asked for is the end of the file. `bytes` are the caller's.
    public func data(_ bytes: UnsafeRawBufferPointer) {
        answer { $0.data(bytes) }
    }

    /// The number of bytes that were written.
    public func written(_ count: Int) {
        answer { $0.written(count) }
    }

    /// An open file or directory.
    @discardableResult
    public func opened(_ opened: Opened) -> Bool {
        answer { $0.opened(opened) }
    }

    /// A new file, which is open.
    @discardableResult
    public func created(_ found: Found, _ opened: Opened) -> Bool {
        answer { $0.created(found, opened) }
    }

    /// The request failed.
    public func error(_ error: Errno) {
        answer(error) { $0.error(error) }
    }

    /// The request succeeded and there is nothing to tell.
    public func done() {
        error(Errno(rawValue: 0))
    }

    /// The target of a symbolic link.
    public func link(_ target: String) {
        answer { $0.link(target) }
    }

    /// The file system's size.
    public func statistics(_ statistics: FileSystemStatistics) {
        answer { $0.statistics(statistics) }
    }

    /// Directory entries; none is the end of the directory.
    @discardableResult
    public func directory(_ buffer: DirectoryBuffer) -> Bool {
        answer { $0.directory(buffer) }
    }

    /// The value of an extended attribute, or the list of their names, each ended by a zero byte.
    public func attributeValue(_ value: [UInt8]) {
        let limit = limit
        answer { $0.attributeValue(value, limit: limit) }
    }

    /// Where lseek(2) arrives.
    public func offset(_ offset: UInt64) {
        answer { $0.offset(offset) }
    }

    @discardableResult
    private func answer(_ outcome: Errno = Errno(rawValue: 0), _ send: (KernelRequest) -> Bool) -> Bool {
        let again = answered.exchange(true, ordering: .acquiringAndReleasing)
        precondition(!again, "a request was answered twice")
        guard let (request, head) = core.pending.claim(token) else { return false }
        defer { core.pending.finish(token) }
        guard let head, let held = core.held else { return send(request) }
        held.fence()
        // In this order: a successor that finds the note answers it, and repeats nothing.
        held.requests.finished(head, outcome)
        defer { held.requests.release(head) }
        return send(request)
    }
}
