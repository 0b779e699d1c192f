// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content
import NIOConcurrencyHelpers
import Storage

/// A key that is being written: bytes in a staging file in any order, chunked meanwhile, published once (P1).
///
/// Shared by all handles that write the key in one mount. Its owner calls ``publish()`` when the last of them is
/// closed, or ``discard()``.
public final class ObjectWriter: Sendable {
    struct State {
        var key: Key
        var metadata: Metadata
        var modifiedByCaller = false
        /// Something was written or truncated.
        var isModified = false
        var size: UInt64 = 0
        var reserved: UInt64 = 0
        /// The version whose bytes the staging file still lacks (copy on write).
        var base: ObjectReader?
        /// All bytes below it are written.
        var frontier: UInt64 = 0
        var pass = IngestPass()
        /// The pass has read, or is just reading, bytes below it.
        var readTo: UInt64 = 0
        /// Bytes below ``readTo`` changed: what was cut is not the object any more.
        var dirty = false
        var ingesting = false
        var idle: [CheckedContinuation<Void, Never>] = []
        var durable = false
        /// Why nothing can be written any more.
        var failure: ObjectError?
        var closed = false
        var settling = false
        /// A process that died began it, and may have published it.
        var isResumed = false
        var whenDetached: (@Sendable () -> Void)?
        var whenEnded: (@Sendable () -> Void)?
    }

    let cache: ObjectCache
    let staging: StagingFile
    let claim: SpaceLedger.Claim
    let state: NIOLockedValueBox<State>
    /// Whoever copies the base or throws it away does so alone.
    let baseTurn = Permits(1)

    convenience init(key: Key, metadata: Metadata, base: ObjectReader?, cache: ObjectCache) throws(StorageError) {
        let state = State(key: key, metadata: metadata, size: base?.size ?? 0, base: base)
        try self.init(state, cache) { (claim) throws(StorageError) in try cache.store.makeStagingFile(claim: claim) }
    }

    /// Goes on with what a process that died was writing.
    convenience init(resuming resumed: WriterState, base: ObjectReader?, cache: ObjectCache) throws(StorageError) {
        var state = State(key: resumed.key, metadata: resumed.metadata, size: base?.size ?? 0, base: base)
        state.modifiedByCaller = resumed.isTimePinned
        state.isModified = resumed.isModified
        state.durable = resumed.isDurable
        state.isResumed = true
        try self.init(state, cache) { (claim) throws(StorageError) in
            try cache.store.resumeStagingFile(resumed.staging, claim: claim)
        }
        self.state.withLockedValue { state in
            if base == nil {
                state.size = staging.size
                state.frontier = staging.writtenPrefix
            }
            if !resumed.isTimePinned, resumed.isModified, staging.size > 0 {
                state.metadata.modified = staging.modified
            }
        }
        // What cannot be had now is reserved by the next write, which waits for it.
        _ = try? reserveNow(size)
    }

    private init(
        _ begin: State,
        _ cache: ObjectCache,
        open: (SpaceLedger.Claim) throws(StorageError) -> StagingFile
    ) throws(StorageError) {
        self.cache = cache
        let key = begin.key
        let state = NIOLockedValueBox(begin)
        let revoked = NIOLockedValueBox<StagingFile?>(nil)
        self.state = state
        claim = cache.space.ledger.open(label: key.text) {
            state.withLockedValue {
                $0.failure = ObjectError(
                    .noSpace,
                    "an older writer needed the space of \($0.key), which was given up; raise store.quota"
                )
            }
            state.withLockedValue { $0.whenEnded }?()
            // The room is given to the older writer when this returns, so it must be free by then.
            try? revoked.withLockedValue { $0 }?.truncate(to: 0)
        }
        do {
            let file = try open(claim)
            staging = file
            revoked.withLockedValue { $0 = file }
        } catch {
            cache.space.ledger.close(claim)
            throw error
        }
    }

    deinit { discard() }

    /// The name under which the object will be published.
    public var key: Key { state.withLockedValue { $0.key } }
    /// Bytes so far.
    public var size: UInt64 { state.withLockedValue { $0.size } }
    /// Something was written or truncated; otherwise publishing does nothing.
    public var isModified: Bool { state.withLockedValue { $0.isModified } }

    /// Why nothing can be written any more, where that is so.
    public var failure: ObjectError? { state.withLockedValue { $0.failure } }

    /// Mode and time of the object. Setting it pins the time; otherwise each write moves it.
    public var metadata: Metadata {
        get { state.withLockedValue { $0.metadata } }
        set {
            state.withLockedValue {
                if $0.metadata.modified != newValue.modified { $0.modifiedByCaller = true }
                $0.metadata = newValue
            }
        }
    }

    /// Look-ups of the key wait for its publication.
    public var isSettling: Bool { state.withLockedValue { $0.settling } }

    /// Calls `body` when all bytes of the version that the writer began with are in the staging file, or none is
    /// wanted any more, before anything is written over them.
    public func whenDetached(_ body: @escaping @Sendable () -> Void) {
        state.withLockedValue { $0.whenDetached = body }
    }

    /// Calls `body` when it is decided what became of the bytes, before they are given back.
    public func whenEnded(_ body: @escaping @Sendable () -> Void) { state.withLockedValue { $0.whenEnded = body } }

    /// What another process needs to go on with it, together with the staging file's bytes.
    public var resumable: WriterState {
        state.withLockedValue {
            WriterState(
                key: $0.key, metadata: $0.metadata, isTimePinned: $0.modifiedByCaller, isModified: $0.isModified,
                isDurable: $0.durable, staging: staging.name, base: $0.base?.entry)
        }
    }

    /// Marks the object as written even where no byte was: a file created and closed empty is published.
    public func touch() { state.withLockedValue { $0.isModified = true } }

    /// Writes where space is reserved and the base is copied. The hit path: it does not suspend.
    ///
    /// - Returns: false where ``prepareWrite(offset:count:)`` is due first.
    /// - Throws: ``ObjectError`` `noSpace`, `tooLarge` or `io`.
    public func tryWrite(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(ObjectError) -> Bool {
        let end = try checkedEnd(offset, bytes.count)
        let ready = try reserveNow(end)
        guard ready else { return false }
        do {
            try staging.write(bytes, at: offset)
        } catch {
            throw ObjectError(error)
        }
        let (window, unsettled) = state.withLockedValue { state -> (Bool, Key?) in
            // Bytes after a close(2): it was not the last descriptor's.
            let unsettled = state.settling ? state.key : nil
            state.settling = false
            state.isModified = true
            state.size = max(state.size, end)
            if !state.modifiedByCaller { state.metadata.modified = cache.wallNanoseconds() }
            // After the write: a pass that read before it has said so by now, and one that did not will see the bytes.
            if offset < state.readTo { state.dirty = true }
            if offset <= state.frontier { state.frontier = max(state.frontier, end) }
            return (state.wantsIngest, unsettled)
        }
        if let unsettled { cache.settling.end(unsettled) }
        if window { ingestMore() }
        return true
    }

    /// Reserves space for a write, evicting where that is needed, and copies the base where there is one.
    public func prepareWrite(offset: UInt64, count: Int) async throws(ObjectError) {
        let end = try checkedEnd(offset, count)
        do {
            try await copyBase()
            try await reserve(end)
        } catch {
            throw ObjectError.from(error)
        }
    }

    /// Tells how large the object will be, so that one that cannot fit is refused before a byte of it is written.
    public func expect(size: UInt64) async throws(ObjectError) {
        guard size <= cache.limits.objectByteCount else { throw tooLarge(size) }
        do {
            try await reserve(size)
        } catch {
            throw ObjectError.from(error)
        }
    }

    /// Reads back what was written, or the base.
    public func tryRead(at offset: UInt64, into out: UnsafeMutableRawBufferPointer) throws(ObjectError) -> Int? {
        let (size, base) = state.withLockedValue { ($0.size, $0.base) }
        guard offset < size, !out.isEmpty else { return 0 }
        if let base { return try base.tryRead(at: offset, into: out) }
        let count = Int(min(UInt64(out.count), size - offset))
        do {
            return try staging.read(into: UnsafeMutableRawBufferPointer(rebasing: out[..<count]), at: offset)
        } catch {
            throw ObjectError(error)
        }
    }

    public func prepare(offset: UInt64, count: Int) async throws(ObjectError) {
        if let base = state.withLockedValue({ $0.base }) { try await base.prepare(offset: offset, count: count) }
    }

    /// Sets the size: cuts bytes off, or adds zeros.
    public func truncate(to size: UInt64) async throws(ObjectError) {
        guard size <= cache.limits.objectByteCount else { throw tooLarge(size) }
        do {
            if size == 0 {
                detach()
                await baseTurn.withPermit { state.withLockedValue { $0.base = nil } }
            } else {
                try await copyBase()
                try await reserve(size)
            }
            try staging.truncate(to: size)
        } catch {
            throw ObjectError.from(error)
        }
        state.withLockedValue { state in
            if size < state.readTo { state.dirty = true }
            state.frontier = min(state.frontier, size)
            state.size = size
            state.isModified = true
            if !state.modifiedByCaller { state.metadata.modified = cache.wallNanoseconds() }
        }
    }

    /// `fsync`: the staged bytes are on the disk, and the publication will be before it is acknowledged (P4).
    public func sync() async throws(ObjectError) {
        state.withLockedValue { $0.durable = true }
        do {
            try await cache.blocking { try self.staging.sync() }
        } catch {
            throw ObjectError.from(error)
        }
    }

    /// The last byte may have been written: look-ups of the key wait for its publication (DESIGN §5).
    public func settle() {
        state.withLockedValue { state in
            guard state.isModified, !state.settling, !state.closed else { return }
            state.settling = true
            // Under the lock: a write that takes the mark back must find the notice. Nothing below takes this lock.
            cache.settling.begin(state.key)
        }
    }

    /// It was not the last byte: nobody waits for the publication any more.
    public func unsettle() {
        let key = state.withLockedValue { state in
            defer { state.settling = false }
            return state.settling ? state.key : nil
        }
        if let key { cache.settling.end(key) }
    }

    /// Changes the name under which the object will be published.
    public func rename(to key: Key) {
        let settling = state.withLockedValue { state -> Key? in
            defer { state.key = key }
            return state.settling ? state.key : nil
        }
        guard let settling else { return }
        cache.settling.begin(key)
        cache.settling.end(settling)
    }

    /// Forgets everything that was written.
    public func discard() { close() }

    func close() {
        let closed = state.withLockedValue { state -> (settling: Key?, base: ObjectReader?, end: (() -> Void)?)? in
            guard !state.closed else { return nil }
            state.closed = true
            defer { state.base = nil }
            return (state.settling ? state.key : nil, state.base, state.whenEnded)
        }
        guard let closed else { return }
        cache.ingest.writerEnded()
        closed.end?()
        cache.collector.removeRoot(self)
        staging.close()
        cache.space.ledger.close(claim)
        if let key = closed.settling { cache.settling.end(key) }
    }

    private func tooLarge(_ size: UInt64) -> ObjectError {
        ObjectError(
            .tooLarge,
            "\(key) would have \(size) bytes and an object may have \(cache.limits.objectByteCount) (limits.object)"
        )
    }

    private func checkedEnd(_ offset: UInt64, _ count: Int) throws(ObjectError) -> UInt64 {
        let (end, overflow) = offset.addingReportingOverflow(UInt64(count))
        guard !overflow, end <= cache.limits.objectByteCount else { throw tooLarge(end) }
        return end
    }
}

extension ObjectWriter.State {
    /// A window of bytes is ready to be cut and nobody is at it.
    fileprivate var wantsIngest: Bool {
        guard !ingesting, !dirty, !closed, frontier >= pass.position + UInt64(Limits.ingestWindow) else { return false }
        return true
    }
}
