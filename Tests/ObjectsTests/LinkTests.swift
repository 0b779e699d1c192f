// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Objects
import Peers
import TestSupport
import Testing

@Suite(
    "Across a link: what the site holds does not cross, and what resembles it crosses as a delta", .serialized,
    .timeLimit(.minutes(2)))
struct LinkTests {
    /// Two gateways of two sites; the reader's reaches the source's by way of a proxy.
    private func linked(
        _ tampering: TamperingProxy.Tampering = .nothing,
        _ body: @escaping @Sendable (AgentFixture, AgentFixture, TamperingProxy) async throws -> Void
    ) async throws {
        try await AgentFixture.run(site: "basement", links: [.init(site: "cloud", address: nil)]) { source in
            let proxy = try TamperingProxy(before: try await source.address(), tampering)
            defer { proxy.stop() }
            try await AgentFixture.run(
                site: "cloud", name: "b", links: [.init(site: "basement", address: proxy.address)]
            ) { reader in
                try await meet(source, reader)
                try await body(source, reader, proxy)
            }
        }
    }

    private func meet(_ agents: AgentFixture...) async throws {
        while !agents.allSatisfy({ $0.peers.members().contains { $0.state == .alive } }) {
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The bytes with changes of a few bytes at many places.
    private func edited(_ bytes: [UInt8], every step: Int) -> [UInt8] {
        var out: [UInt8] = []
        for (number, at) in stride(from: 0, to: bytes.count, by: step).enumerated() {
            out += bytes[at..<min(bytes.count, at + step)]
            out += Array("changed \(number)".utf8)
        }
        return out
    }

    /// Reads the present version of a key at an agent; returns whether it is right and what passed meanwhile.
    private func read(_ key: Key, at reader: AgentFixture, through proxy: TamperingProxy) async throws -> ([UInt8], Int)
    {
        let before = proxy.passed
        let bytes = try await reader.read(try #require(try reader.cache.lookup(key)))
        return (bytes, proxy.passed - before)
    }

    @Test(
        "P7: a rebuilt object crosses in a fraction of its new chunks, under the same key or beside it",
        arguments: [true, false])
    func rebuilt(sameKey: Bool) async throws {
        try await linked { source, reader, proxy in
            let old = noise(8 << 20, seed: 31)
            let new = edited(old, every: 100_000)
            let (first, second) = (try Key("ci/app/image"), try Key(sameKey ? "ci/app/image" : "ci/app/other"))
            try await source.put(first, old)
            let (read1, all) = try await read(first, at: reader, through: proxy)
            #expect(read1 == old)
            #expect(all > old.count)
            try await source.put(second, new)
            let (read2, passed) = try await read(second, at: reader, through: proxy)
            #expect(read2 == new)
            #expect(passed < 300_000, "\(passed) bytes for \(new.count / 100_000) changes")
        }
    }

    @Test("What lacks far behind what is here is on its way before the reader gets there")
    func asksBeyondWhatIsHere() async throws {
        try await linked { source, reader, proxy in
            let held = noise(64 << 20, seed: 41)
            try await reader.put(try Key("ci/app/old"), held)
            let key = try Key("ci/app/new")
            try await source.put(key, held + noise(2 << 20, seed: 42))
            let before = proxy.passed
            let opened = try reader.cache.open(try #require(try reader.cache.lookup(key)))
            defer { opened.close() }
            // Of 66 megabytes 64 are here, and the reader stays in the first 16: those just before it end far from the rest.
            var megabyte = 0
            while proxy.passed - before < 2 << 20 {
                try await opened.prepare(offset: UInt64(megabyte) << 20, count: 1 << 20)
                megabyte = (megabyte + 1) % 16
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    @Test("P7: a chunk that the site holds under a key of no relation does not cross")
    func unrelated() async throws {
        try await linked { source, reader, proxy in
            let held = noise(4 << 20, seed: 32)
            try await reader.put(try Key("ci/here/held"), held)
            let key = try Key("ci/there/new")
            let new = held + noise(1 << 20, seed: 33)
            try await source.put(key, new)
            let (bytes, passed) = try await read(key, at: reader, through: proxy)
            #expect(bytes == new)
            #expect(passed < 2 << 20, "\(passed) bytes")
        }
    }

    @Test("P7: a chunk that another agent of the site holds under a key of no relation does not cross")
    func unrelatedAtPeer() async throws {
        try await linked { source, gateway, proxy in
            let address = try await gateway.address()
            let held = noise(4 << 20, seed: 39)
            try await AgentFixture.run(site: "cloud", name: "c", peers: [address]) { node in
                try await meet(node)
                try await node.put(try Key("ci/here/held"), held)
                while !gateway.peers.members().contains(where: { $0.name == "c" && $0.state == .alive }) {
                    try await Task.sleep(for: .milliseconds(20))
                }
                let key = try Key("ci/there/new")
                let new = held + noise(1 << 20, seed: 40)
                try await source.put(key, new)
                let (bytes, passed) = try await read(key, at: gateway, through: proxy)
                #expect(bytes == new)
                #expect(passed < 2 << 20, "\(passed) bytes")
            }
        }
    }

    @Test("P7: a chunk that another agent of the site holds in what the object was made from does not cross")
    func heldByPeer() async throws {
        try await linked { source, gateway, proxy in
            let address = try await gateway.address()
            let old = noise(4 << 20, seed: 34)
            let new = edited(old, every: 1_000_000)
            try await AgentFixture.run(site: "cloud", name: "c", peers: [address]) { node in
                try await meet(node)
                // The gateway has never seen it.
                try await node.put(try Key("ci/app/1"), old)
                let key = try Key("ci/app/2")
                try await source.put(key, new)
                let (bytes, passed) = try await read(key, at: node, through: proxy)
                #expect(bytes == new)
                #expect(passed < new.count / 2, "\(passed) bytes")
            }
        }
    }

    @Test("A node behind the gateway reads a rebuilt object as deltas too")
    func behindGateway() async throws {
        try await linked { source, gateway, proxy in
            let address = try await gateway.address()
            let old = noise(4 << 20, seed: 35)
            let new = edited(old, every: 100_000)
            try await AgentFixture.run(site: "cloud", name: "c", peers: [address]) { node in
                try await meet(node)
                let key = try Key("ci/app/image")
                try await source.put(key, old)
                #expect(try await read(key, at: node, through: proxy).0 == old)
                try await source.put(key, new)
                let (bytes, passed) = try await read(key, at: node, through: proxy)
                #expect(bytes == new)
                #expect(passed < 300_000, "\(passed) bytes")
            }
        }
    }

    @Test("A base that the sender does not have is no harm: plain chunks cross")
    func senderWithoutBase() async throws {
        try await linked { source, reader, proxy in
            let old = noise(3 << 20, seed: 36)
            try await reader.put(try Key("ci/app/1"), old)
            let new = edited(old, every: 1_000_000)
            let key = try Key("ci/app/2")
            try await source.put(key, new)
            #expect(try await read(key, at: reader, through: proxy).0 == new)
        }
    }

    @Test("P2, P6: whatever a link answers, the bytes that are read are right", arguments: Tampered.all)
    func tampered(_ tampered: Tampered) async throws {
        try await linked(tampered.tampering) { source, reader, proxy in
            let old = noise(2 << 20, seed: 37)
            let new = edited(old, every: 100_000)
            let key = try Key("ci/app/image")
            try await source.put(key, old)
            #expect(try await read(key, at: reader, through: proxy).0 == old)
            try await source.put(key, new)
            #expect(try await read(key, at: reader, through: proxy).0 == new)
            #expect(proxy.spoilt > 0)
        }
    }

    struct Tampered: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let tampering: TamperingProxy.Tampering

        static var all: [Tampered] {
            let end = FrameEncoder().encode(.end)
            let bomb = MessageFrame(usedBases: 0, codec: .zstd, rawLength: 1 << 20, payload: [40, 181, 47, 253, 1, 2])
            let endless = MessageFrame(usedBases: 0, codec: .plain, rawLength: 1 << 30, payload: [1])
            let delta = DeltaFrame(parts: 0..<4096, bases: [], payload: [1, 2, 3])
            return [
                Tampered(testDescription: "garbage", tampering: .answers([9, 9, 9, 9, 9, 9, 9, 9])),
                Tampered(testDescription: "absent", tampering: .answers(end)),
                Tampered(testDescription: "no end", tampering: .answers([])),
                Tampered(testDescription: "bomb", tampering: .answers(FrameEncoder().encode(.message(bomb)) + end)),
                Tampered(
                    testDescription: "too long", tampering: .answers(FrameEncoder().encode(.message(endless)) + end)),
                Tampered(
                    testDescription: "wrong parts", tampering: .answers(FrameEncoder().encode(.delta(delta)) + end)),
                Tampered(testDescription: "changed bytes", tampering: .changesBytes),
                Tampered(testDescription: "broken off", tampering: .breaksOff),
            ]
        }
    }

    @Test("P7: four readers of a rebuilt object let every chunk cross once; one that leaves disturbs nobody")
    func manyReaders() async throws {
        try await linked { source, reader, proxy in
            let old = noise(4 << 20, seed: 38)
            let new = edited(old, every: 150_000)
            let key = try Key("ci/app/image")
            try await source.put(key, old)
            #expect(try await read(key, at: reader, through: proxy).0 == old)
            try await source.put(key, new)
            let entry = try #require(try reader.cache.lookup(key))
            let before = try reader.cache.status().fetchedOverLinks
            let leaver = Task { try await reader.read(entry) }
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<4 { group.addTask { try await reader.read(entry) == new } }
                leaver.cancel()
                for try await same in group { #expect(same) }
            }
            _ = try? await leaver.value
            let fetched = try reader.cache.status().fetchedOverLinks - before
            #expect(fetched <= UInt64(new.count) + 65_536, "\(fetched) bytes of chunks")
        }
    }
}
