// SPDX-License-Identifier: Apache-2.0

public import Content

/// Keys whose object nobody holds any more, which are removed (P1).
///
/// Who gives up the last copy removes its keys. Where several give theirs up at the same time each believes that others
/// hold it, so whoever once held it looks again when another's end of a holding arrives.
public enum Unheld {
    /// Objects of agents that are gone whose keys are removed together: a push of some hundred publications.
    static let objectsAtOnce = 256

    /// The objects that somebody ceased to hold.
    public static func candidates(in publications: [Publication]) -> Set<Digest> {
        var out: Set<Digest> = []
        for case .holding(let manifest, held: false) in publications.map(\.change) { out.insert(manifest) }
        return out
    }

    /// The removals that follow for an object.
    ///
    /// - Parameters:
    ///   - holders: who holds it now.
    ///   - hasGivenUp: whether this agent once held it; those who never did leave it to those who did.
    ///   - entries: the live entries that name it.
    public static func removals(
        of entries: [Entry],
        by own: AgentID,
        holders: [AgentID],
        hasGivenUp: Bool
    ) -> [Publication.Change] {
        guard holders.isEmpty, hasGivenUp else { return [] }
        return entries.map { .entry(Entry(removing: $0, by: own)) }
    }
}
