// SPDX-License-Identifier: Apache-2.0

public import Content

/// How wanted chunks cross: in batches of about a megabyte, each against the chunks of bases that resemble its own.
///
/// The sender makes one for what a request wants, encodes batch by batch, and sends each with the names of its bases.
/// Batches take the wanted chunks in the order of the request, so a part needs no name.
public struct DeltaPlan: Sendable {
    /// Bytes of chunks after which a batch ends: smaller ones share less, larger ones take longer to be of use.
    public static let batchByteCount = 1 << 20
    /// What a batch may have with its bases before it ends: those with few bases have more chunks instead.
    private static let windowByteCount = 2 << 20
    /// What a batch and its bases have together at the most: the encoder's tables take three bytes for each of these.
    public static let windowByteCountMax = 4 << 20
    /// The most bytes of bases beside the chunks.
    public static let baseByteCount = 3 << 20

    public struct Batch: Hashable, Sendable {
        /// The wanted chunks, as a range of ``DeltaPlan/targets``.
        public let targets: Range<Int>
        /// The chunks to encode against, in order; no position twice. Where the plan uses targets, one whose base is the
        /// number of bases is a wanted chunk of an earlier batch, by its place in ``DeltaPlan/targets``.
        public let bases: [BasePosition]
    }

    /// The wanted chunks of all runs, in order.
    public let targets: [ChunkReference]
    public let batches: [Batch]
    private let bases: [ChunkSequence]

    /// - Parameters:
    ///   - runs: what is asked for, with the chunks between that are not.
    ///   - outline: of the wanted object.
    ///   - bases: in the order of their numbers.
    ///   - usesTargets: wanted chunks of earlier batches are bases too: for a receiver that takes batches in order and
    ///     knows this. It saves 3 % where much is new, and hardly anything where an object was rebuilt.
    public init(runs: [TargetRun], outline: Outline?, bases: [BaseObject], usesTargets: Bool = false) {
        self.bases = bases.map(\.sequence)
        let wanted = usesTargets ? runs.flatMap(\.wanted) : []
        let choice = BaseChoice(bases: bases, targets: wanted)
        func length(_ place: BasePosition) -> Int {
            let chunk =
                place.base < bases.count
                ? bases[place.base].sequence.chunks[place.position] : wanted[place.position].chunk
            return Int(chunk.length)
        }
        var assembly = Assembly()
        var cursor = BaseCursor()
        for run in runs {
            var offset = run.offset
            for (i, chunk) in run.chunks.enumerated() {
                let range = offset..<offset + UInt64(chunk.length)
                offset = range.upperBound
                guard run.isWanted[i] else {
                    cursor.pass(chunk, in: self.bases)
                    continue
                }
                let target = BaseChoice.Target(
                    chunk: chunk, range: range, sketch: run.sketches[i], expected: cursor.next
                )
                let crossed = usesTargets ? assembly.start : 0
                assembly.append(chunk, choice.bases(of: target, outline: outline, crossed: crossed), length)
                cursor.passedNew()
            }
        }
        assembly.close()
        targets = assembly.targets
        batches = assembly.batches
    }

    /// The batches so far, and the one that is under way.
    private struct Assembly {
        var targets: [ChunkReference] = []
        var batches: [Batch] = []
        /// Of the batch under way: its first target, its bases, and bytes of both.
        var start = 0
        private var bases: Set<BasePosition> = []
        private var baseByteCount = 0
        private var targetByteCount = 0

        mutating func append(_ chunk: ChunkReference, _ chosen: [BasePosition], _ length: (BasePosition) -> Int) {
            let fresh = chosen.filter { !bases.contains($0) }
            let raw = targetByteCount + Int(chunk.length)
            let base = baseByteCount + fresh.reduce(0) { $0 + length($1) }
            if (raw > batchByteCount && raw + base > windowByteCount) || raw > DeltaEncoder.targetByteCountMax
                || base > DeltaPlan.baseByteCount || raw + base > windowByteCountMax
                || bases.count + fresh.count > BasePositions.countMax
            {
                close()
                bases = Set(chosen)
                baseByteCount = chosen.reduce(0) { $0 + length($1) }
            } else {
                bases.formUnion(fresh)
                baseByteCount = base
            }
            targetByteCount += Int(chunk.length)
            targets.append(chunk)
        }

        /// Ends the batch under way.
        mutating func close() {
            if start < targets.count { batches.append(Batch(targets: start..<targets.count, bases: bases.sorted())) }
            start = targets.count
            bases = []
            baseByteCount = 0
            targetByteCount = 0
        }
    }

    /// The bases of a batch, as chunks.
    public func baseChunks(of batch: Batch) -> [ChunkReference] {
        batch.bases.map { $0.base < bases.count ? bases[$0.base].chunks[$0.position] : targets[$0.position] }
    }

    /// Bytes of a batch's chunks, decoded.
    public func rawByteCount(of batch: Batch) -> Int { targets[batch.targets].reduce(0) { $0 + Int($1.length) } }

    /// Encodes a batch.
    ///
    /// - Parameters:
    ///   - level: of zstd; ``EncodingEffort`` knows.
    ///   - read: fills a buffer that is as long as the chunk with the chunk's bytes.
    /// - Throws: only what `read` throws.
    public func encode<E: Error>(
        _ batch: Batch, level: Int32, read: (ChunkReference, UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) -> [UInt8] {
        let prefix = try ChunkConcatenation(baseChunks(of: batch), read: read)
        let target = try ChunkConcatenation(targets[batch.targets], read: read)
        return DeltaEncoder.encode(target.bytes, prefix: prefix.bytes, level: level)
    }

    /// Decodes a batch to the concatenation of its chunks. Whoever calls checks each against its digest.
    ///
    /// - Parameters:
    ///   - bases: the batch's, in its order; together at most ``DeltaEncoder/baseByteCountMax`` bytes.
    ///   - rawByteCount: bytes of the batch's chunks together.
    ///   - read: as in ``encode(_:level:read:)``.
    /// - Returns: nil where the bytes are no batch of that length, or the bases are too large.
    /// - Throws: only what `read` throws.
    public static func decode<E: Error>(
        _ bytes: some Collection<UInt8>, bases: [ChunkReference], rawByteCount: Int,
        read: (ChunkReference, UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) -> Result<[UInt8], ChunkingError> {
        guard bases.reduce(0, { $0 + Int($1.length) }) <= DeltaEncoder.baseByteCountMax else {
            return .failure(ChunkingError(.malformed, "a batch with too many bases"))
        }
        let prefix = try ChunkConcatenation(bases, read: read)
        do throws(ChunkingError) {
            return .success(try DeltaDecoder.decode(bytes, prefix: prefix.bytes, rawByteCount: rawByteCount))
        } catch {
            return .failure(error)
        }
    }
}

extension BaseCursor {
    /// A chunk was passed of which nobody knows whether the bases have it.
    fileprivate mutating func pass(_ chunk: ChunkReference, in bases: [ChunkSequence]) {
        if let place = find(chunk, in: bases) { passed(place) } else { passedNew() }
    }
}

/// Chunks one after another in memory.
private struct ChunkConcatenation: ~Copyable {
    private let all: UnsafeMutableRawBufferPointer
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(all) }

    init<E: Error>(
        _ chunks: some Collection<ChunkReference>,
        read: (ChunkReference, UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        let all = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, chunks.reduce(0) { $0 + Int($1.length) }), alignment: 16
        )
        var at = 0
        do throws(E) {
            for chunk in chunks {
                try read(chunk, UnsafeMutableRawBufferPointer(rebasing: all[at..<at + Int(chunk.length)]))
                at += Int(chunk.length)
            }
        } catch {
            all.deallocate()
            throw error
        }
        self.all = UnsafeMutableRawBufferPointer(rebasing: all[..<at])
    }

    deinit { all.baseAddress?.deallocate() }
}
