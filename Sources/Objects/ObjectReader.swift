// SPDX-License-Identifier: Apache-2.0

public import Content
import NIOConcurrencyHelpers
import Storage

/// One opened version of one key. It reads that version until it is closed, whatever happens to the key (P3).
public final class ObjectReader: Sendable {
    /// Where the bytes that a reader asked for came from, for the line that ends every `get`.
    public struct Statistics: Sendable {
        /// Bytes handed out.
        public var bytes: UInt64 = 0
        /// Of them, asked for while they were not here.
        public var missed: UInt64 = 0
        /// Time spent in ``ObjectReader/prepare(offset:count:)``.
        public var waited: Duration = .zero
    }

    public let entry: Entry
    let object: OpenObject?
    private let cache: ObjectCache
    private let ahead: NIOLockedValueBox<ReadAhead>
    private let counts = NIOLockedValueBox(Statistics())
    private let closed = NIOLockedValueBox(false)

    init(entry: Entry, object: OpenObject?, cache: ObjectCache) {
        self.entry = entry
        self.object = object
        self.cache = cache
        self.ahead = NIOLockedValueBox(ReadAhead(windowMax: Limits.readAheadBlocks))
    }

    deinit { close() }

    /// Bytes of the object.
    public var size: UInt64 { entry.size }

    public var statistics: Statistics { counts.withLockedValue { $0 } }

    /// Copies bytes from `offset` on into `out`, where all of them are here. The hit path: it does not suspend.
    ///
    /// - Returns: the bytes copied, 0 at the end; nil where some are not here: `prepare`, then again.
    /// - Throws: ``ObjectError`` `corrupt` or `io`.
    public func tryRead(
        at offset: UInt64,
        into out: UnsafeMutableRawBufferPointer
    ) throws(ObjectError) -> Int? {
        guard offset < size, !out.isEmpty else { return 0 }
        let count = Int(min(UInt64(out.count), size - offset))
        let target = UnsafeMutableRawBufferPointer(rebasing: out[..<count])
        if case .inline(let bytes) = entry.body {
            bytes.withUnsafeBytes { target.copyMemory(from: .init(rebasing: $0[Int(offset)..<Int(offset) + count])) }
            return count
        }
        guard let object else {
            throw ObjectError(.unsupported, "\(entry.key) is not an object")
        }
        do {
            guard let map = try object.map() else { return nil }
            let blocks = map.blocks(offset: offset, count: count)
            if !object.isWhole { runAhead(blocks, offset, count, map) }
            for block in blocks {
                guard try copy(block, of: map, object, offset: offset, into: target) else {
                    object.blockIsMissing(block)
                    return nil
                }
            }
            if !object.isWhole { noteEnds(of: blocks, before: offset + UInt64(count), map, object) }
        } catch {
            throw ObjectError.from(error)
        }
        counts.withLockedValue { $0.bytes += UInt64(count) }
        return count
    }

    /// Copies what `target`, which begins at `offset` of the object, wants of one block.
    private func copy(
        _ block: Int,
        of map: BlockMap,
        _ object: OpenObject,
        offset: UInt64,
        into target: UnsafeMutableRawBufferPointer
    ) throws -> Bool {
        guard let list = try object.list(block, of: map) else { return false }
        let end = offset + UInt64(target.count)
        var at = map.offset(of: block)
        for chunk in list.chunks {
            let next = at + UInt64(chunk.length)
            defer { at = next }
            guard next > offset else { continue }
            guard at < end else { break }
            let from = max(at, offset)
            let part = UnsafeMutableRawBufferPointer(
                rebasing: target[Int(from - offset)..<Int(min(next, end) - offset)]
            )
            guard try cache.copy(chunk, from: Int(from - at), into: part) else { return false }
        }
        return true
    }

    /// Has blocks looked at that were read to their end and are not known to be here: what was brought while the object
    /// was open before counts, too, for it to become whole.
    private func noteEnds(of blocks: Range<Int>, before end: UInt64, _ map: BlockMap, _ object: OpenObject) {
        for block in blocks where map.offset(of: block + 1) <= end && !object.isPresent(block) {
            cache.fetch.note(block, of: object)
        }
    }

    private func runAhead(_ blocks: Range<Int>, _ offset: UInt64, _ count: Int, _ map: BlockMap) {
        let next = ahead.withLockedValue {
            $0.read(blocks: blocks, begin: offset, end: offset + UInt64(count), of: map.count)
        }
        guard !next.isEmpty, let object else { return }
        cache.fetch.runAhead(object, blocks: next)
    }

    /// Brings the bytes of a range here, from wherever they are.
    ///
    /// - Throws: ``ObjectError`` `unavailable` after the stall limit, `cancelled`, `noSpace`, `corrupt`.
    public func prepare(offset: UInt64, count: Int) async throws(ObjectError) {
        guard let object else { return }
        let begin = ContinuousClock.now
        do {
            try await cache.fetch.bring(object, offset: offset, count: count)
            if let map = try object.map() { runAhead(map.blocks(offset: offset, count: count), offset, count, map) }
        } catch {
            throw ObjectError.from(error)
        }
        counts.withLockedValue {
            $0.missed += UInt64(count)
            $0.waited += ContinuousClock.now - begin
        }
    }

    /// Gives the object back. Reading after it is a mistake of the caller.
    public func close() {
        let first = closed.withLockedValue { closed in
            defer { closed = true }
            return !closed
        }
        if first, let object { cache.openObjects.close(object) }
    }
}
