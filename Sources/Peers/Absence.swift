// SPDX-License-Identifier: Apache-2.0

public import Content

/// Who is gone for good: agents whose numbers do not rise any more (P1).
///
/// Every agent gives a number to nothing now and then, so one that lives is known by its numbers, however many links
/// away it is. Time counts only while whoever judges sees everybody that it should see: behind a line that is cut, and
/// at a peer that is expected and does not answer, nobody is gone. A start begins again.
public struct Absence: Sendable {
    /// Beats in the time after which an agent is gone: as many may be missed.
    private static let beatCount = 12
    /// The most time that counts from one look to the next: a machine that slept has seen nothing.
    private static let stepMax = Duration.seconds(10)

    private let limit: Duration
    /// How long everybody was seen.
    private var watched: Duration = .zero
    /// Of that the moments at which agents' numbers rose.
    private var risen: [AgentID: Duration] = [:]
    private var last: Duration?
    private var nextBeat: Duration?

    /// - Parameter limit: how long an agent's numbers may stay as they are.
    public init(limit: Duration) { self.limit = limit }

    /// The numbers of an agent rose.
    public mutating func rose(_ agent: AgentID) { risen[agent] = watched }

    /// Time passed.
    ///
    /// - Parameter isWatching: whether everybody is seen who should be, and it falls to us to judge.
    /// - Returns: whether it is time for a beat of our own, and to judge.
    public mutating func tick(now: Duration, isWatching: Bool) -> Bool {
        if isWatching, let last { watched += min(now - last, Absence.stepMax) }
        last = now
        let beat = limit / Absence.beatCount
        guard let due = nextBeat else {
            // A start gives new numbers by itself.
            nextBeat = now + beat
            return false
        }
        guard now >= due else { return false }
        nextBeat = now + beat
        return true
    }

    /// Those of some agents that are gone.
    public func gone(among agents: some Sequence<AgentID>) -> Set<AgentID> {
        Set(agents.filter { watched - (risen[$0] ?? .zero) >= limit })
    }
}
