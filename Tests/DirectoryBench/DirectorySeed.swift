// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Storage

/// A directory as years of a busy cluster make it: objects of several jobs and branches, published by many agents.
enum DirectorySeed {
    static let batch = 1000

    static func make(_ path: String, entries: Int, agents: Int) throws -> [String: Double] {
        let store = try Main.store(path)
        let watch = Stopwatch()
        let names = (1...max(1, agents)).map { AgentID(high: 0x5eed_0000_0000_0000, low: UInt64($0)) }
        var numbers: [AgentID: UInt64] = [:]
        for start in stride(from: 0, to: entries, by: batch) {
            let agent = names[start / batch % names.count]
            let after = numbers[agent] ?? 0
            let end = min(start + batch, entries)
            let publications = try (start..<end).map { number in
                Publication(
                    agent: agent,
                    number: after + UInt64(number - start) + 1,
                    change: .entry(try entry(number, by: agent))
                )
            }
            let upTo = after + UInt64(end - start)
            numbers[agent] = upTo
            _ = try store.catalog.apply(publications, spans: [agent: PublicationSpan(after: after, upTo: upTo)])
        }
        let seconds = watch.seconds
        try store.close()
        return ["seed_seconds": seconds, "catalog_bytes": try Footprint.catalogBytes(path), "entries": Double(entries)]
    }

    private static func entry(_ number: Int, by agent: AgentID) throws -> Entry {
        Entry(
            key: try Key("ci/project-\(number % 40)/branch-\(number / 40 % 500)/layers/\(number / 20_000)/image.tar"),
            version: Version(
                time: HybridTime(milliseconds: 1_700_000_000_000 + UInt64(number)),
                agent: agent
            ),
            body: .object(
                manifest: Digest.sha256(of: withUnsafeBytes(of: UInt64(number)) { Array($0) }),
                size: UInt64(number) << 12
            ),
            metadata: Metadata(modified: Int64(number) * 1_000_000_000)
        )
    }
}

/// A store with many chunks; what they hold does not matter, so they are small.
enum ChunkSeed {
    static func make(_ path: String, count: Int) throws -> [String: Double] {
        let store = try Main.store(path)
        let watch = Stopwatch()
        for number in 0..<UInt64(max(0, count)) {
            let raw = withUnsafeBytes(of: number) { Array($0) }
            let digest = Digest.sha256(of: raw)
            _ = try raw.withUnsafeBytes { payload in
                try store.chunks.insert(
                    digest, kind: .data, codec: .plain, rawLength: payload.count, payload: payload
                )
            }
        }
        let seconds = watch.seconds
        try store.close()
        return ["seed_seconds": seconds, "chunks": Double(count)]
    }

    static func open(_ path: String) throws -> [String: Double] {
        let watch = Stopwatch()
        let store = try Main.store(path)
        let seconds = watch.seconds
        let out = [
            "open_seconds": seconds,
            "chunks": Double(store.chunks.statistics.chunks),
            "anonymous_bytes": try Footprint.anonymousBytes(),
        ]
        try store.close()
        return out
    }
}
