// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Objects
import Peers
import Storage
import TestSupport
import Testing

/// Changes of names that meet others of the same keys.
@Suite(.timeLimit(.minutes(5)))
struct RaceTests {
    @Test("P5: a change of mode that meets an overwrite does not bring the older bytes back")
    func modeAndOverwrite() async throws {
        try await AgentFixture.run { agent in
            let key = try Key("ci/k")
            try await agent.put(key, [0])
            for round in 1...200 {
                async let written = agent.put(key, [UInt8(round)])
                async let changed = agent.cache.setMetadata(key, mode: UInt16(round), modified: nil)
                _ = try await (written, changed)
                #expect(try agent.cache.lookup(key)?.body == .inline([UInt8(round)]))
            }
        }
    }

    @Test("P5: a rename that meets an overwrite moves what is newest, or leaves it where it is")
    func renameAndOverwrite() async throws {
        try await AgentFixture.run { agent in
            let (from, to) = (try Key("ci/from"), try Key("ci/to"))
            for round in 1...200 {
                try await agent.put(from, [0])
                async let written = agent.put(from, [UInt8(round)])
                async let renamed = agent.cache.rename(from, to: to)
                _ = try await (written, renamed)
                let left = try agent.cache.lookup(from)?.body
                let moved = try agent.cache.lookup(to)?.body
                #expect([left, moved].contains(.inline([UInt8(round)])), "the newest bytes are gone")
                #expect((left == nil) == (moved == .inline([UInt8(round)])))
            }
        }
    }

    @Test("P5: what another agent published before it heard of a change of mode wins over it")
    func modeAndOverwriteElsewhere() async throws {
        try await AgentFixture.run { agent in
            let other = AgentID.random()
            for (number, key) in try [Key("ci/mode"), Key("ci/renamed")].enumerated() {
                try await agent.put(key, [0])
                // A clock's next reading is the one right above: the other agent's is of a moment later.
                _ = agent.peers.directory.nextVersion()
                let elsewhere = Entry(
                    key: key, version: Version(time: agent.peers.directory.nextVersion().time, agent: other),
                    body: .inline([1]), metadata: Metadata(modified: 1))
                if number == 0 {
                    _ = try await agent.cache.setMetadata(key, mode: 0o600, modified: nil)
                } else {
                    _ = try await agent.cache.rename(key, to: try Key("ci/to"))
                }
                let publication = Publication(agent: other, number: UInt64(number + 1), change: .entry(elsewhere))
                #expect(try agent.store.catalog.apply([publication], spans: [:]).won == [elsewhere])
                #expect(try agent.cache.lookup(key) == elsewhere)
            }
        }
    }

    @Test("P1: a change of mode of what is being evicted names no object without its bytes")
    func modeAndEviction() async throws {
        var limits = Limits()
        limits.stall = .seconds(1)
        try await AgentFixture.run(quota: 64 << 20, limits: limits) { agent in
            for round in 0..<2 {
                let key = try Key("ci/cold-\(round)")
                try await agent.put(key, noise(12 << 20, seed: UInt64(100 + round)))
                let isOver = NIOLockedValueBox(false)
                async let changing: Void = {
                    var mode: UInt16 = 0
                    while !isOver.withLockedValue({ $0 }) {
                        mode = (mode + 1) & 0o777
                        do { _ = try await agent.cache.setMetadata(key, mode: mode, modified: nil) } catch { return }
                    }
                }()
                for number in 0..<6 {
                    let other = try Key("ci/other-\(round)-\(number)")
                    try await agent.put(other, noise(12 << 20, seed: UInt64(1000 + 10 * round + number)))
                }
                isOver.withLockedValue { $0 = true }
                await changing
                guard let entry = try agent.cache.lookup(key) else { continue }
                #expect(try await agent.read(entry) == noise(12 << 20, seed: UInt64(100 + round)))
            }
        }
    }
}
