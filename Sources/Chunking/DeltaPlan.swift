// SPDX-License-Identifier: Apache-2.0

public import Content

/// How wanted chunks cross: in batches of about a megabyte, each against the chunks of bases that resemble its own.
///
/// The sender makes one for what a request wants, encodes batch by batch, and sends each with the names of its bases.
/// Batches take the wanted chunks in the order of the request, so a part needs no name.
public struct DeltaPlan: Sendable {
    /// Bytes of chunks after which a batch ends: smaller ones share less, larger ones take longer to be of use.
    public static let batchByteCount = 1 << 20
    /// The most bytes of bases beside them.
    public static let baseByteCount = 4 << 20

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
        var targets: [ChunkReference] = []
        var batches: [Batch] = []
        var open = OpenBatch()
        func close() {
            if open.start < targets.count {
                batches.append(Batch(targets: open.start..<targets.count, bases: open.bases.sorted()))
            }
            open = OpenBatch(start: targets.count)
        }
        var cursor = BaseCursor()
        for run in runs {
            var offset = run.offset
            for (i, chunk) in run.chunks.enumerated() {
                let range = offset..<offset + UInt64(chunk.length)
                offset = range.upperBound
                guard run.isWanted[i] else {
                    if let place = cursor.find(chunk, in: self.bases) {
                        cursor.passed(place)
                    } else {
                        cursor.passedNew()
                    }
                    continue
                }
                let chosen = choice.bases(
                    of: BaseChoice.Target(chunk: chunk, range: range, sketch: run.sketches[i], expected: cursor.next),
                    outline: outline,
                    crossed: usesTargets ? open.start : 0
                )
                cursor.passedNew()
                let fresh = chosen.filter { !open.bases.contains($0) }
                let weight = fresh.reduce(0) { $0 + length($1) }
                if open.targetByteCount + Int(chunk.length) > DeltaPlan.batchByteCount
                    || open.baseByteCount + weight > DeltaPlan.baseByteCount
                    || open.bases.count + fresh.count > BasePositions.countMax
                {
                    close()
                    open.bases = Set(chosen)
                    open.baseByteCount = chosen.reduce(0) { $0 + length($1) }
                } else {
                    open.bases.formUnion(fresh)
                    open.baseByteCount += weight
                }
                open.targetByteCount += Int(chunk.length)
                targets.append(chunk)
            }
        }
        close()
        self.targets = targets
        self.batches = batches
    }

    private struct OpenBatch {
        var start = 0
        var bases: Set<BasePosition> = []
        var baseByteCount = 0
        var targetByteCount = 0
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
