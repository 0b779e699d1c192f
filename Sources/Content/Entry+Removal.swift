// SPDX-License-Identifier: Apache-2.0

extension Entry {
    /// The tombstone of exactly this version of a key, for one that nobody holds any more (P1).
    ///
    /// Its version is just above the entry's, so whatever else was or is published under the key stays.
    public init(removing entry: Entry, by agent: AgentID) {
        let time = HybridTime(rawValue: entry.version.time.rawValue &+ 1)
        self.init(
            key: entry.key,
            version: Version(time: time, agent: agent),
            body: .tombstone,
            metadata: entry.metadata
        )
    }
}
