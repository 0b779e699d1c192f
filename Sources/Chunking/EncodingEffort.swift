// SPDX-License-Identifier: Apache-2.0

/// How hard a link's sender compresses: as hard as the link gives time for, and as the object's share of the cores
/// allows. One value for each object under way; deterministic.
public struct EncodingEffort: Sendable {
    /// Core-seconds that encoding may take for each byte of the whole object, where the link leaves no time for more.
    /// A small object, or one of which little changed, gets the best level for them; where much is missing, levels that
    /// take three times as long save a tenth of the bytes, which the link carries sooner.
    public static let secondsPerByteMax = 0.9e-9
    /// What it may take of any object: the smallest of images.
    private static let secondsMin = 0.6
    /// Where the last batch shrank to more than this part, the next one hardly will by effort: what is in images
    /// compressed lies side by side.
    private static let incompressible = 0.9
    /// The part of a link's time that encoding may take: reading and comparing take as much, and there is always to be a
    /// batch ready to leave.
    private static let linkPart = 0.5
    /// The level that gives the most for its time: where nothing limits the link, and for what hardly shrinks.
    private static let briskLevel: Int32 = 3
    /// Levels, and what a core encodes with each, bytes of chunks a second (measured on rebuilt images with bases; what
    /// has none is three times as slow, and ``encoded(rawByteCount:byteCount:seconds:level:)`` notices). Those between
    /// cost as much as the next one.
    private static let speeds: [(level: Int32, bytesPerSecond: Double)] = [
        (9, 130e6), (6, 160e6), (3, 550e6), (1, 700e6),
    ]

    /// Bytes a second that the link takes, or nil where nothing limits it.
    private let bytesPerSecond: Double?
    private var secondsLeft: Double
    private var missingByteCount: Double
    /// How many bytes leave for one of a chunk, from what was encoded: a guess at first, that of a rebuilt image.
    private var ratio = 0.05
    /// The same of the last batch alone.
    private var lastRatio = 0.0
    /// How much slower this machine is than the table says.
    private var slowness = 1.0

    /// - Parameters:
    ///   - bytesPerSecond: the link's rate for this object.
    ///   - objectByteCount: bytes of the whole object.
    ///   - missingByteCount: bytes of the chunks that will be asked for, as far as known.
    public init(bytesPerSecond: Double?, objectByteCount: UInt64, missingByteCount: UInt64) {
        self.bytesPerSecond = bytesPerSecond
        secondsLeft = max(EncodingEffort.secondsMin, Double(objectByteCount) * EncodingEffort.secondsPerByteMax)
        self.missingByteCount = Double(missingByteCount)
    }

    /// The level for the next batch.
    public func level(rawByteCount: Int) -> Int32 {
        let raw = Double(rawByteCount)
        // What the batch takes on the link is the time that encoding the next one costs nobody.
        let linkSeconds = bytesPerSecond.map { raw * ratio / $0 * EncodingEffort.linkPart } ?? 0
        let share = secondsLeft * raw / max(raw, missingByteCount)
        let most = max(share, linkSeconds)
        let isBrisk = bytesPerSecond == nil || lastRatio > EncodingEffort.incompressible
        for (level, speed) in EncodingEffort.speeds where raw / speed * slowness <= most {
            return isBrisk ? min(level, EncodingEffort.briskLevel) : level
        }
        return 1
    }

    /// Takes account of a batch.
    ///
    /// - Parameter seconds: of a core.
    public mutating func encoded(rawByteCount: Int, byteCount: Int, seconds: Double, level: Int32) {
        let raw = Double(max(1, rawByteCount))
        secondsLeft -= seconds
        missingByteCount = max(0, missingByteCount - raw)
        lastRatio = Double(byteCount) / raw
        ratio += (lastRatio - ratio) / 8
        if let speed = EncodingEffort.speeds.first(where: { $0.level == level })?.bytesPerSecond {
            slowness += (min(8, max(0.125, seconds * speed / raw)) - slowness) / 16
        }
    }
}
