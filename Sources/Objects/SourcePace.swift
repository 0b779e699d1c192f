// SPDX-License-Identifier: Apache-2.0

public import Content
public import Peers

/// How fast holders of this site give chunks, so that one that is slow is left for the next one that holds the same.
///
/// A value: times in, patience and order out.
public struct SourcePace: Sendable {
    /// Waits for a chunk that are remembered: those of some blocks.
    private static let sampleCount = 256
    /// Fewer say nothing.
    private static let samplesMin = 32
    /// The wait that is patience enough in 19 of 20 cases, times this.
    private static let factor = 4
    /// Never less patience: a moment in which a core is busy is no slow source.
    public static let patienceMin = Duration.milliseconds(250)
    /// Before enough was seen.
    public static let patienceAtFirst = Duration.seconds(1)
    /// How long a source that was slow is asked after the others; doubled each time it is slow again.
    static let restMin = Duration.seconds(2)
    static let restMax = Duration.seconds(30)

    private struct Rest {
        var until: Duration
        var length: Duration
    }

    private var waits: [Duration] = []
    private var next = 0
    private var resting: [AgentID: Rest] = [:]
    /// Kept, because it costs a sort: of the waits when it was last asked for.
    private var known: (count: Int, patience: Duration) = (0, SourcePace.patienceAtFirst)
    private var count = 0

    public init() {}

    /// A chunk came after a wait.
    public mutating func came(after wait: Duration) {
        count += 1
        if waits.count < SourcePace.sampleCount {
            waits.append(wait)
        } else {
            waits[next] = wait
            next = (next + 1) % SourcePace.sampleCount
        }
    }

    /// How long a holder may give nothing before the next one is asked.
    public mutating func patience() -> Duration {
        guard waits.count >= SourcePace.samplesMin else { return SourcePace.patienceAtFirst }
        if count - known.count >= SourcePace.samplesMin {
            let usual = waits.sorted()[waits.count * 19 / 20]
            known = (count, max(SourcePace.patienceMin, usual * SourcePace.factor))
        }
        return known.patience
    }

    /// A holder was left because it was slow. The wait counts: where all are slow, patience grows.
    public mutating func wasSlow(_ agent: AgentID, after wait: Duration, now: Duration) {
        came(after: wait)
        resting = resting.filter { now - $0.value.until < SourcePace.restMax }
        let length = resting[agent].map { min(SourcePace.restMax, $0.length * 2) } ?? SourcePace.restMin
        resting[agent] = Rest(until: now + length, length: length)
    }

    /// The same sources, those holders last among the holders that were slow lately. Who holds nothing stays behind them
    /// all: what a slow neighbour has does not cross a link (P7).
    public func ordered(_ sources: [Source], now: Duration) -> [Source] {
        let isSlow = { (source: Source) in (resting[source.agent]?.until ?? .zero) > now }
        let holders = sources.filter { $0.kind == .holder }
        return holders.filter { !isSlow($0) } + holders.filter(isSlow) + sources.filter { $0.kind != .holder }
    }
}
