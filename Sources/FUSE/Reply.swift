// SPDX-License-Identifier: Apache-2.0

/// The answer that a request waits for, to be given once; one that is dropped answers EIO. It may not outlive the call
/// of ``Operations`` that got it: what takes longer goes through ``later(_:)``.
///
/// The methods that return a Bool return false if the kernel gave the request up before the answer: what the answer
/// would have told it (a lookup, an open handle) it does not know of and will never release.
public struct Reply: ~Copyable, @unchecked Sendable {
    // Safety: the request is answered once, by the consuming methods; the core lives until the session's threads,
    // which are the only ones to hold replies, were joined.
    private let request: KernelRequest
    private let core: Unmanaged<SessionCore>
    /// The caller's buffer for an extended attribute.
    private let limit: Int

    init(_ request: KernelRequest, core: Unmanaged<SessionCore>, limit: Int) {
        self.request = request
        self.core = core
        self.limit = limit
    }

    deinit {
        _ = request.error(.io)
    }

    /// A name; inode 0 says that there is none, and the entry timeout for how long that holds.
    @discardableResult
    public consuming func found(_ found: Found) -> Bool {
        let request = finish()
        return request.found(found)
    }

    /// `timeout`: seconds for which they hold.
    public consuming func attributes(_ attributes: Attributes, timeout: Double) {
        let request = finish()
        _ = request.attributes(attributes, timeout: timeout)
    }

    /// What was read; fewer bytes than asked for is the end of the file.
    public consuming func data(_ bytes: UnsafeRawBufferPointer) {
        let request = finish()
        _ = request.data(bytes)
    }

    /// The number of bytes that were written.
    public consuming func written(_ count: Int) {
        let request = finish()
        _ = request.written(count)
    }

    /// An open file or directory.
    @discardableResult
    public consuming func opened(_ opened: Opened) -> Bool {
        let request = finish()
        return request.opened(opened)
    }

    /// A new file, which is open.
    @discardableResult
    public consuming func created(_ found: Found, _ opened: Opened) -> Bool {
        let request = finish()
        return request.created(found, opened)
    }

    /// The request failed.
    public consuming func error(_ error: Errno) {
        let request = finish(error)
        _ = request.error(error)
    }

    /// The request succeeded and there is nothing to tell.
    public consuming func done() {
        let request = finish()
        _ = request.error(Errno(rawValue: 0))
    }

    /// The target of a symbolic link.
    public consuming func link(_ target: String) {
        let request = finish()
        _ = request.link(target)
    }

    /// The file system's size.
    public consuming func statistics(_ statistics: FileSystemStatistics) {
        let request = finish()
        _ = request.statistics(statistics)
    }

    /// Directory entries; none is the end of the directory.
    @discardableResult
    public consuming func directory(_ buffer: DirectoryBuffer) -> Bool {
        let request = finish()
        return request.directory(buffer)
    }

    /// The value of an extended attribute, or the list of their names, each ended by a zero byte.
    public consuming func attributeValue(_ value: [UInt8]) {
        let limit = limit
        let request = finish()
        _ = request.attributeValue(value, limit: limit)
    }

    /// Where lseek(2) arrives.
    public consuming func offset(_ offset: UInt64) {
        let request = finish()
        _ = request.offset(offset)
    }

    /// Keeps a number for a successor that gets the same request: what decides where its effect is. On the session's
    /// thread only.
    public borrowing func note(_ value: UInt64) {
        core._withUnsafeGuaranteedRef { $0.note(value) }
    }

    /// Answers from a task of its own, which starts on this thread. The task is cancelled when the caller gets a signal
    /// (then answer ``Errno/interrupted``) and at the session's end. The thread's buffers are gone by then.
    public consuming func later(_ body: @escaping @Sendable (PendingReply) async -> Void) {
        let (limit, core) = (limit, core)
        let request = take()
        core._withUnsafeGuaranteedRef { $0.answerLater(request, limit: limit, body) }
    }

    /// The effect is done, whatever becomes of the answer: a successor that finds the request does nothing again.
    private consuming func finish(_ outcome: Errno = Errno(rawValue: 0)) -> KernelRequest {
        core._withUnsafeGuaranteedRef { $0.finished(outcome) }
        return take()
    }

    private consuming func take() -> KernelRequest {
        let request = request
        discard self
        return request
    }
}
