// SPDX-License-Identifier: Apache-2.0

public import Content

/// Puts wanted chunks into batches as their bytes come: each with the chunks of bases that resemble its own.
///
/// A sender makes one for each request and gives it the wanted chunks in order; a batch is told as soon as the next
/// chunk does not go into it, so that it leaves while those after it are read.
public struct DeltaPlanner: Sendable {
    /// Bytes of chunks after which a batch ends: smaller ones share less, larger ones take longer to be of use.
    public static let batchByteCount = 1 << 20
    /// What a batch may have with its bases before it ends: those with few bases have more chunks instead.
    private static let windowByteCount = 2 << 20
    /// What a batch and its bases have together at the most: the encoder's tables take three bytes for each of these.
    public static let windowByteCountMax = 4 << 20
    /// The most bytes of bases beside the chunks.
    public static let baseByteCount = 3 << 20

    private let choice: BaseChoice
    /// Of the wanted object, where it is known beforehand.
    private let outline: Outline?
    private var scan = OutlineScan()
    /// Of the batch under way: its targets, its bases, and bytes of both.
    private var targets = 0..<0
    private var bases: Set<BasePosition> = []
    private var baseByteCount = 0
    private var targetByteCount = 0

    /// - Parameter outline: of the wanted object; nil where its chunks tell, as a tar's do.
    public init(choice: BaseChoice, outline: Outline? = nil) {
        self.choice = choice
        self.outline = outline
    }

    /// Takes the next wanted chunk.
    ///
    /// - Parameters:
    ///   - bytes: the chunk's.
    ///   - offset: where it begins in the object.
    ///   - expected: where the bases go on after the chunks before this one; nil: nobody knows.
    /// - Returns: the batch before, where the chunk does not go into it.
    public mutating func append(
        _ bytes: UnsafeRawBufferPointer, at offset: UInt64, expected: BasePosition? = nil
    ) -> DeltaBatch? {
        let chosen = choose(bytes, offset, expected)
        let fresh = chosen.filter { !bases.contains($0) }
        let raw = targetByteCount + bytes.count
        let base = baseByteCount + fresh.reduce(0) { $0 + choice.length(at: $1) }
        let isFull =
            (raw > DeltaPlanner.batchByteCount && raw + base > DeltaPlanner.windowByteCount)
            || raw > DeltaEncoder.targetByteCountMax || base > DeltaPlanner.baseByteCount
            || raw + base > DeltaPlanner.windowByteCountMax || bases.count + fresh.count > BasePositions.countMax
            || targets.count >= DeltaPlanner.targetsMax
        var done: DeltaBatch?
        if isFull {
            done = close()
            bases = Set(chosen)
            baseByteCount = chosen.reduce(0) { $0 + choice.length(at: $1) }
        } else {
            bases.formUnion(fresh)
            baseByteCount = base
        }
        targetByteCount += bytes.count
        targets = targets.lowerBound..<targets.upperBound + 1
        return done
    }

    /// Leaves out the next wanted chunk, which is not here.
    ///
    /// - Returns: the batch before, if there is one.
    public mutating func skip() -> DeltaBatch? {
        let done = close()
        targets = targets.upperBound + 1..<targets.upperBound + 1
        return done
    }

    /// Ends the batch under way: the last one, after the last chunk.
    public mutating func close() -> DeltaBatch? {
        guard !targets.isEmpty else { return nil }
        let batch = DeltaBatch(targets: targets, bases: bases.sorted())
        targets = targets.upperBound..<targets.upperBound
        bases = []
        baseByteCount = 0
        targetByteCount = 0
        return batch
    }

    /// The most chunks of a batch: bodies of small files have chunks of a few hundred bytes.
    public static let targetsMax = 4096

    private mutating func choose(
        _ bytes: UnsafeRawBufferPointer, _ offset: UInt64, _ expected: BasePosition?
    ) -> [BasePosition] {
        guard !choice.isEmpty else { return [] }
        let range = offset..<offset + UInt64(bytes.count)
        if outline == nil { scan.add(bytes, at: offset) }
        let target = BaseChoice.Target(range: range, sketch: ChunkSketch(of: bytes), expected: expected)
        return choice.bases(of: target, members: outline?.members(covering: range) ?? scan.members(covering: range))
    }
}
