// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Objects
import Storage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)))
struct WriterTests {
    @Test("P2: bytes that are written over while they are being cut are published as they were written last")
    func overwrittenMeanwhile() async throws {
        let seed = UInt64.random(in: 1...1_000_000)
        print("seed of overwrites: \(seed)")
        try await AgentFixture.run { agent in
            var generator = SplitMix(seed)
            for round in 0..<2 {
                var bytes = sample(40 << 20, seed: seed &+ UInt64(round))
                let writer = try agent.cache.create(try Key("ci/r\(round)"), metadata: Metadata(modified: 1))
                for at in stride(from: 0, to: bytes.count, by: 1 << 20) {
                    try await agent.write(writer, Array(bytes[at..<at + 1 << 20]), at: UInt64(at))
                    // One late change now and then, near what is being cut: after the last one the pass may be right.
                    guard at >= 16 << 20, generator.next() % 8 == 0 else { continue }
                    let place = max(0, at - 16 << 20) + Int(generator.next() % UInt64(16 << 20))
                    let patch = (0..<5000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
                    bytes.replaceSubrange(place..<place + patch.count, with: patch)
                    try await agent.write(writer, patch, at: UInt64(place))
                }
                let entry = try #require(try await writer.publish())
                #expect(try await agent.read(entry) == bytes, "round \(round)")
            }
        }
    }

    @Test("P1: a torn stream under a key of the greatest length is kept under a shorter one, and the key is left alone")
    func tornAtTheLimits() async throws {
        try await AgentFixture.run { agent in
            let zip = [0x50, 0x4b, 3, 4] + [UInt8](repeating: 0, count: 5000)
            let component = String(repeating: "x", count: Key.componentByteCountMax)
            var text = "ci/" + Array(repeating: component, count: 3).joined(separator: "/")
            text += "/" + String(repeating: "\u{e9}", count: (Key.byteCountMax - text.utf8.count - 1) / 2)
            for key in [try Key("ci/" + component), try Key(text)] {
                let torn = try await agent.put(key, zip)
                #expect(torn.metadata.torn && torn.key != key && torn.key.text.hasSuffix(".torn"))
                #expect(torn.key.parent == key.parent)
                #expect(try agent.cache.lookup(key) == nil)
                #expect(try agent.cache.lookup(torn.key) == torn)
            }
        }
    }

    @Test("P1: what is published while others are collected is whole, equal content too")
    func publishedMeanwhile() async throws {
        try await AgentFixture.run { agent in
            let contents = (0..<3).map { sample(3 << 20, seed: UInt64($0) + 50) }
            let collecting = Task {
                while !Task.isCancelled {
                    _ = try await agent.cache.collect()
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
            for round in 0..<12 {
                let bytes = contents[round % contents.count]
                let key = try Key("ci/k\(round % 2)")
                let entry = try await agent.put(key, bytes)
                #expect(try agent.store.chunks.hasWhole(try #require(entry.manifest)), "round \(round)")
                #expect(try agent.store.catalog.object(try #require(entry.manifest))?.isWhole == true)
                if round % 3 == 0 { try await agent.cache.remove(key) }
            }
            collecting.cancel()
            _ = await collecting.result
        }
    }
}

/// SplitMix64: small, and the same on every machine.
private struct SplitMix {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
