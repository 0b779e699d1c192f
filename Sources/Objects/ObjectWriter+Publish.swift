// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content
import Logging
import NIOConcurrencyHelpers
import Peers
import Storage

extension ObjectWriter {
    /// What is put behind the key of a stream that lacks its end.
    public static let tornSuffix = ".torn"

    /// Cuts what is there into chunks while the writer goes on.
    func ingestMore() {
        let start = state.withLockedValue { state -> Bool in
            guard !state.ingesting, !state.closed else { return false }
            state.ingesting = true
            return true
        }
        guard start else { return }
        let submitted = cache.jobs.submit { [self] in
            await ingestInBackground()
        }
        if !submitted { ingestEnded() }
    }

    private func ingestInBackground() async {
        while true {
            let (pass, frontier, stop) = state.withLockedValue { state in
                (state.pass, state.frontier, state.dirty || state.closed || state.failure != nil)
            }
            guard !stop, frontier >= pass.position + UInt64(Limits.ingestWindow) else { break }
            do {
                let next = try await advance(pass, to: frontier, isEnd: false)
                guard next.position > pass.position else { break }
            } catch {
                let failure = ObjectError.from(error)
                state.withLockedValue { $0.failure = $0.failure ?? failure }
                break
            }
        }
        ingestEnded()
    }

    /// Continues the pass and keeps it in the state, window by window: the collector reads it there.
    private func advance(_ pass: IngestPass, to end: UInt64, isEnd: Bool) async throws -> IngestPass {
        cache.collector.addRoot(self) { [state] in state.withLockedValue { $0.pass.roots } }
        return try await cache.ingest.advance(pass, over: staging, to: end, isEnd: isEnd) { [state] offset in
            state.withLockedValue { $0.readTo = max($0.readTo, offset) }
        } room: { bytes, reserve in
            guard reserve else { return cache.space.ledger.release(bytes, of: claim) }
            try await cache.space.reserve(bytes, for: claim)
        } update: { pass in
            state.withLockedValue { $0.pass = pass }
        }
    }

    private func ingestEnded() {
        let waiters = state.withLockedValue { state in
            state.ingesting = false
            defer { state.idle = [] }
            return state.idle
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Waits for the end of what is done in the background; nothing more of it begins before ``ingestEnded()``.
    private func beginLast() async {
        while !state.withLockedValue({ state in
            defer { state.ingesting = true }
            return !state.ingesting
        }) { await untilIdle() }
    }

    private func untilIdle() async {
        await withCheckedContinuation { continuation in
            let now = state.withLockedValue { state in
                guard state.ingesting else { return true }
                state.idle.append(continuation)
                return false
            }
            if now { continuation.resume() }
        }
    }

    /// Makes the object whole and gives it its name, here and at the peers.
    ///
    /// - Parameter patient: nobody waits for it in particular; see ``ObjectCache/hurry()``.
    /// - Returns: the entry, or nil where nothing was written. Of a stream that lacks its end it is the entry of the
    ///   key with ``tornSuffix``, and the key itself is left as it was. The writer is closed in any case.
    /// - Throws: ``ObjectError`` `noSpace`, `io`, `cancelled`; the key is then what it was before.
    public func publish(patient: Bool = false) async throws(ObjectError) -> Entry? {
        defer { close() }
        await beginLast()
        defer { ingestEnded() }
        do {
            if let failure = state.withLockedValue({ $0.failure }) { throw failure }
            guard isModified else { return nil }
            try await copyBase()
            try await checkEnd()
            if size <= Entry.inlineByteCountMax { return try await publish(try await inlineBody(), patient: patient) }
            return try await publishObject(patient: patient)
        } catch {
            throw ObjectError.from(error)
        }
    }

    private func inlineBody() async throws -> Entry.Body {
        let count = Int(size)
        guard count > 0 else { return .inline([]) }
        var bytes = [UInt8](repeating: 0, count: count)
        let got = try bytes.withUnsafeMutableBytes { try tryRead(at: 0, into: $0) }
        guard got == count else {
            throw ObjectError(.io, "the staging file of \(key) has \(got ?? 0) bytes of \(count)")
        }
        return .inline(bytes)
    }

    private func publishObject(patient: Bool) async throws -> Entry {
        let pass = try await finalPass()
        let manifest = try cache.ingest.finish(pass) { pass in state.withLockedValue { $0.pass = pass } }
        let encoded = manifest.encoded()
        let digest = Digest.sha256(of: encoded)
        return try await cache.openObjects.keeping(digest) {
            _ = try encoded.withUnsafeBytes { try cache.store.chunks.insert(digest, kind: .manifest, raw: $0) }
            try cache.store.catalog.recordObject(manifest: digest, size: manifest.size, whole: true)
            return try await publish(.object(manifest: digest, size: manifest.size), patient: patient)
        }
    }

    /// How often an object is cut anew because it was written while that was done.
    private static let passesMax = 3

    /// Cuts the rest of the object; all of it, where bytes changed that were cut already.
    private func finalPass() async throws -> IngestPass {
        for _ in 0..<ObjectWriter.passesMax {
            let (begun, size) = state.withLockedValue { state in
                if state.dirty {
                    state.pass = IngestPass()
                    state.readTo = 0
                    state.dirty = false
                }
                return (state.pass, state.size)
            }
            let pass = try await advance(begun, to: size, isEnd: true)
            let (isOver, failure) = state.withLockedValue { (!$0.dirty && $0.size == size, $0.failure) }
            // An older writer took its space meanwhile: what was cut then may lack its end.
            if let failure { throw failure }
            guard isOver else {
                state.withLockedValue { $0.dirty = true }
                continue
            }
            guard pass.position == size else {
                throw ObjectError(.io, "\(key): \(pass.position) bytes were cut of \(size) that were written")
            }
            return pass
        }
        throw ObjectError(.io, "\(key) was written to while it was being published")
    }

    /// A stream that lacks its end was cut off with its writer: it is kept, and said to be torn (P1).
    private func checkEnd() async throws {
        let size = size
        let check: @Sendable () throws -> StreamEnd = {
            try StreamEnd.check(size: size) { offset, out in try self.staging.read(into: out, at: offset) }
        }
        // What was written a moment ago and is short is in the page cache: no other thread is worth it.
        let end = size <= Entry.inlineByteCountMax ? try check() : try await cache.blocking(check)
        guard case .torn(let reason) = end else { return }
        state.withLockedValue { $0.metadata.torn = true }
        cache.logger.warning("torn stream", metadata: ["key": "\(key)", "reason": "\(reason)", "kept": "\(key).torn"])
    }

    private func publish(_ body: Entry.Body, patient: Bool) async throws -> Entry {
        let (written, metadata, durable) = state.withLockedValue { ($0.key, $0.metadata, $0.durable) }
        // A key names a whole object or nothing: what was cut off gets a name beside it and leaves the key alone (P1).
        let key = metadata.torn ? ObjectWriter.tornKey(of: written) : written
        // The process that died may have come as far as this.
        if state.withLockedValue({ $0.isResumed }), let entry = try cache.lookup(key), entry.body == body,
            entry.metadata.mode == metadata.mode
        {
            return entry
        }
        if durable { try await cache.blocking { try self.cache.store.chunks.sync() } }
        let entry = try await publish(key, body, metadata, patient: patient && !durable)
        if durable { try await cache.blocking { try self.cache.store.catalog.sync() } }
        return entry
    }

    /// How often the name is given again where somebody else gave it in between: each takes a moment at most.
    private static let publicationsMax = 16

    /// What was closed last is what the key names, also where it got another version between the choice of this one's
    /// and its publication.
    private func publish(
        _ key: Key, _ body: Entry.Body, _ metadata: Metadata, patient: Bool
    ) async throws -> Entry {
        for _ in 0..<ObjectWriter.publicationsMax {
            let entry = Entry(key: key, version: cache.directory.nextVersion(), body: body, metadata: metadata)
            let published = try await cache.directory.publish([.entry(entry)], patient: patient)
            if !published.isEmpty { return entry }
        }
        throw ObjectError(.busy, "\(key) was published by others each time that it was to be")
    }

    /// The key with ``tornSuffix``; cut before it where the limits of a key leave no room.
    static func tornKey(of key: Key) -> Key {
        var text = key.text[...]
        while true {
            let component = text.utf8.reversed().prefix { $0 != UInt8(ascii: "/") }.count
            let excess = max(
                component + tornSuffix.utf8.count - Key.componentByteCountMax,
                text.utf8.count + tornSuffix.utf8.count - Key.byteCountMax)
            if excess <= 0, let torn = try? Key(text + tornSuffix) { return torn }
            // A whole character at a time; one that is the last of its component takes the component with it.
            text = text.dropLast()
            while text.utf8.last == UInt8(ascii: "/") { text = text.dropLast() }
            guard text.utf8.contains(UInt8(ascii: "/")) else { return key }
        }
    }
}
