// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import NIOConcurrencyHelpers
import NIOPosix
import Storage

/// Turns staged bytes into chunks on every core, while more bytes arrive.
///
/// Cutting is sequential and fast; digests and compression of a window's chunks run in parallel while the next window
/// is being cut. Memory: ``windowsAtOnce`` windows for each ingest at work, and `permits` says how many work at once.
final class Ingest: Sendable {
    private let store: Store
    private let pool: NIOThreadPool
    /// Of its own: in the pool of the digests a cut would wait behind the runs of every window that was cut already,
    /// and the cores would then wait for the cut.
    private let cutting: NIOThreadPool
    private let width: Int
    private let permits: Permits
    private let pins: ChunkPins
    private let working = NIOLockedValueBox(0)
    let buffers = WindowBuffers(kept: Ingest.windowsAtOnce + 1)

    init(store: Store, pool: NIOThreadPool, cutting: NIOThreadPool, width: Int, pins: ChunkPins, limits: Limits) {
        self.store = store
        self.pool = pool
        self.cutting = cutting
        self.width = width
        self.pins = pins
        self.permits = Permits(limits.ingestCount)
    }

    /// Windows whose chunks are digested at the same time: while the last runs of one end, those of the next begin.
    static let windowsAtOnce = 2

    private struct Digested: Sendable {
        let number: Int
        let byteCount: UInt64
        let references: [ChunkReference]
    }

    /// Continues `pass` over the bytes of `staging` below `end`.
    ///
    /// - Parameters:
    ///   - isEnd: `end` is the object's size: the last chunk is cut there.
    ///   - willRead: called before bytes up to an offset are read.
    ///   - room: reserves (`true`) or gives back (`false`) what a window may take in the store, beside the staged bytes.
    ///   - update: called after each window, so that the collector sees what is kept.
    func advance(
        _ pass: IngestPass,
        over staging: StagingFile,
        to end: UInt64,
        isEnd: Bool,
        willRead: @escaping @Sendable (UInt64) -> Void,
        room: (UInt64, Bool) async throws -> Void,
        update: (IngestPass) -> Void
    ) async throws -> IngestPass {
        try await permits.withPermit {
            let owner = pins.begin()
            working.withLockedValue { $0 += 1 }
            defer {
                pins.end(owner)
                working.withLockedValue { $0 -= 1 }
            }
            return try await withThrowingTaskGroup(of: Digested.self) { group in
                var pass = pass
                var order = 0
                var waiting: [Int: Digested] = [:]
                var next = 0
                var hasMore = true
                while true {
                    while hasMore, order - next < Ingest.windowsAtOnce {
                        let window: IngestPass.Window?
                        (pass, window) = try await cutWindow(pass, staging, end, isEnd, willRead)
                        guard let window else {
                            hasMore = false
                            break
                        }
                        try await room(window.byteCount, true)
                        let number = order
                        order += 1
                        group.addTask {
                            Digested(
                                number: number,
                                byteCount: window.byteCount,
                                references: try await self.digest(window, owner)
                            )
                        }
                    }
                    guard next < order, let done = try await group.next() else { return pass }
                    waiting[done.number] = done
                    while let first = waiting.removeValue(forKey: next) {
                        next += 1
                        var pinned = first.references.map(\.digest)
                        for list in pass.append(first.references) { pinned.append(try insert(list, owner)) }
                        // Named in the pass first, and only then no longer pinned: see the collector's mark.
                        update(pass)
                        pins.clear(owner, pinned)
                        try await room(first.byteCount, false)
                    }
                }
            }
        }
    }

    /// A writer has ended: memory for windows is given back where none is at work.
    func writerEnded() {
        if working.withLockedValue({ $0 == 0 }) { buffers.drain() }
    }

    /// Ends a pass: stores the last block's list.
    ///
    /// - Parameter update: told the ended pass, so that the collector sees the list.
    func finish(_ pass: IngestPass, update: (IngestPass) -> Void) throws -> Manifest {
        let owner = pins.begin()
        defer { pins.end(owner) }
        var pass = pass
        if let last = pass.finish() { _ = try insert(last, owner) }
        update(pass)
        return pass.builder.manifest
    }

    private func insert(_ list: BlockList, _ owner: UInt64) throws -> Digest {
        let encoded = list.encoded()
        let digest = Digest.sha256(of: encoded)
        pins.add([digest], owner)
        _ = try encoded.withUnsafeBytes { try store.chunks.insert(digest, kind: .blockList, raw: $0) }
        return digest
    }

    private func cutWindow(
        _ pass: IngestPass,
        _ staging: StagingFile,
        _ end: UInt64,
        _ isEnd: Bool,
        _ willRead: @escaping @Sendable (UInt64) -> Void
    ) async throws -> (IngestPass, IngestPass.Window?) {
        let left = end - min(end, pass.position)
        // Short of the end, a rest below one window waits for more bytes: its last chunk cannot be told yet.
        guard left > 0, isEnd || left >= UInt64(Limits.ingestWindow) else { return (pass, nil) }
        return try await cutting.runIfActive { [buffers] in
            var pass = pass
            let at = pass.position
            let count = min(left, UInt64(Limits.ingestWindow))
            // Said before it is done: whoever changes these bytes from now on knows that the pass may have missed it.
            willRead(at + count)
            let buffer = try buffers.fill(Int(count)) { try staging.read(into: $0, at: at) }
            let window = pass.cut(buffer, isEnd: isEnd && at + UInt64(buffer.count) >= end)
            return (pass, window.chunks.isEmpty ? nil : window)
        }
    }

    /// Runs of chunks for each core: with one, a core would wait at the end of every window for the other's last run.
    private static let runsPerCore = 8

    /// Digests a window's chunks and stores the new ones, in runs of about equal length.
    private func digest(_ window: IngestPass.Window, _ owner: UInt64) async throws -> [ChunkReference] {
        guard window.chunks.count > 1 else {
            return try await pool.runIfActive { try self.digest(window.chunks[...], of: window.buffer, owner) }
        }
        let runs = width * Ingest.runsPerCore
        let share = (window.chunks.count + runs - 1) / runs
        return try await withThrowingTaskGroup(of: (Int, [ChunkReference]).self) { group in
            for start in stride(from: 0, to: window.chunks.count, by: share) {
                let run = window.chunks[start..<min(window.chunks.count, start + share)]
                group.addTask {
                    (start, try await self.pool.runIfActive { try self.digest(run, of: window.buffer, owner) })
                }
            }
            var parts: [(Int, [ChunkReference])] = []
            for try await part in group { parts.append(part) }
            return parts.sorted { $0.0 < $1.0 }.flatMap(\.1)
        }
    }

    private func digest(
        _ chunks: ArraySlice<Range<Int>>,
        of buffer: WindowBuffer,
        _ owner: UInt64
    ) throws -> [ChunkReference] {
        let run = chunks.map { range in
            let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer.bytes)[range])
            return RawChunk(digest: Digest.sha256(of: bytes), bytes: bytes)
        }
        // Named first and asked for then: a sweep that begins in between finds them named.
        pins.add(run.map(\.digest), owner)
        try store.chunks.insert(run)
        return zip(chunks, run).map { ChunkReference(digest: $1.digest, length: UInt32($0.count)) }
    }
}
