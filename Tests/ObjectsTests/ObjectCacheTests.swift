// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Objects
import ProcessSupport
import Storage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)))
struct ObjectCacheTests {
    @Test("P1: what was written is read, for every size", arguments: [0, 1, 4096, 4097, 70_000, 3 << 20, 13_000_001])
    func roundTrip(size: Int) async throws {
        try await AgentFixture.run { agent in
            let bytes = sample(size, seed: UInt64(size) + 1)
            let entry = try await agent.put(try Key("ci/a/b.bin"), bytes, piece: 100_000)
            #expect(entry.size == UInt64(size))
            #expect(try agent.cache.lookup(entry.key) == entry)
            #expect(try await agent.read(entry, piece: 333_333) == bytes)
        }
    }

    @Test("P1: bytes written in any order, truncated and overwritten are the object that is read")
    func anyOrder() async throws {
        try await AgentFixture.run { agent in
            let key = try Key("ci/any")
            var model = sample(12 << 20, seed: 7)
            let writer = try agent.cache.create(key, metadata: Metadata(modified: 1))
            try await agent.write(writer, model, at: 0)
            let patch = sample(100_000, seed: 8)
            for at in [0, 5 << 20, 1000] {
                try await agent.write(writer, patch, at: UInt64(at))
                model.replaceSubrange(at..<at + patch.count, with: patch)
            }
            try await writer.truncate(to: 9 << 20)
            model.removeSubrange((9 << 20)...)
            try await agent.write(writer, patch, at: 10 << 20)
            model += [UInt8](repeating: 0, count: 1 << 20) + patch
            let entry = try #require(try await writer.publish())
            #expect(try await agent.read(entry) == model)
        }
    }

    @Test("P1: a writer that is discarded publishes nothing")
    func discarded() async throws {
        try await AgentFixture.run { agent in
            let key = try Key("ci/x")
            let writer = try agent.cache.create(key, metadata: Metadata(modified: 1))
            try await agent.write(writer, sample(6 << 20, seed: 1), at: 0)
            writer.discard()
            #expect(try agent.cache.lookup(key) == nil)
        }
    }

    @Test("P3: a reader keeps the version that it opened when the key is overwritten and removed")
    func readerKeepsVersion() async throws {
        try await AgentFixture.run { agent in
            let key = try Key("ci/v")
            let old = sample(8 << 20, seed: 1)
            let reader = try agent.cache.open(try await agent.put(key, old))
            try await agent.put(key, sample(8 << 20, seed: 2))
            try await agent.cache.remove(key)
            _ = try await agent.cache.collect()
            #expect(try await agent.read(reader) == old)
            reader.close()
        }
    }

    @Test("Known chunks are neither stored again nor counted twice")
    func deduplicates() async throws {
        try await AgentFixture.run { agent in
            let bytes = sample(16 << 20, seed: 3)
            try await agent.put(try Key("ci/one"), bytes)
            let before = agent.store.chunks.statistics.storedBytes
            try await agent.put(try Key("ci/two"), [1, 2, 3] + bytes)
            let grown = agent.store.chunks.statistics.storedBytes - before
            #expect(grown < 1 << 20, "\(grown) bytes more for three bytes in front")
        }
    }

    @Test("P8: an object over the quota is refused with noSpace, and what was there stays")
    func refusesWhatCannotFit() async throws {
        try await AgentFixture.run(quota: 24 << 20) { agent in
            let small = sample(1 << 20, seed: 4)
            let kept = try await agent.put(try Key("ci/kept"), small)
            let writer = try agent.cache.create(try Key("ci/large"), metadata: Metadata(modified: 1))
            let error = await #expect(throws: ObjectError.self) { try await writer.expect(size: 100 << 20) }
            #expect(error?.code == .noSpace)
            writer.discard()
            #expect(try await agent.read(kept) == small)
        }
    }

    @Test("P8: what was read longest ago makes room, and the store stays within its quota")
    func evicts() async throws {
        try await AgentFixture.run(quota: 64 << 20) { agent in
            var entries: [Entry] = []
            for n in 0..<6 {
                entries.append(try await agent.put(try Key("ci/n\(n)"), noise(14 << 20, seed: UInt64(n) + 1)))
                #expect(agent.store.space.usedBytes <= 64 << 20)
            }
            #expect(try agent.cache.lookup(entries[0].key) == nil, "the oldest went")
            let last = try #require(try agent.cache.lookup(entries[5].key))
            #expect(try await agent.read(last) == noise(14 << 20, seed: 6))
        }
    }

    @Test("P1: a collection keeps every chunk of what is published and of what is being written")
    func collectKeepsLiving() async throws {
        try await AgentFixture.run { agent in
            let first = sample(9 << 20, seed: 11)
            let entry = try await agent.put(try Key("ci/first"), first)
            try await agent.put(try Key("ci/gone"), noise(9 << 20, seed: 12))
            try await agent.cache.remove(try Key("ci/gone"))
            let second = sample(20 << 20, seed: 13)
            let writer = try agent.cache.create(try Key("ci/second"), metadata: Metadata(modified: 1))
            try await agent.write(writer, Array(second[..<(16 << 20)]), at: 0)
            #expect(try await agent.cache.collect() > 8 << 20)
            try await agent.write(writer, Array(second[(16 << 20)...]), at: 16 << 20)
            let published = try #require(try await writer.publish())
            _ = try await agent.cache.collect()
            #expect(try await agent.read(entry) == first)
            #expect(try await agent.read(published) == second)
        }
    }

    @Test("P1: a tar without its end is kept beside its key, said to be torn, and the key names nothing")
    func torn() async throws {
        try await AgentFixture.run { agent in
            let folder = agent.directory + "/files"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data(sample(300_000, seed: 5)).write(to: URL(fileURLWithPath: folder + "/f"))
            #expect(try await Child.run("tar", ["-cf", agent.directory + "/t.tar", "f"], in: folder).code == 0)
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: agent.directory + "/t.tar")))
            #expect(try await agent.put(try Key("ci/whole.tar"), bytes).metadata.torn == false)
            let torn = try await agent.put(try Key("ci/torn.tar"), Array(bytes[..<200_000]))
            #expect(torn.metadata.torn && torn.key.text == "ci/torn.tar.torn")
            #expect(try agent.cache.lookup(try Key("ci/torn.tar")) == nil)
        }
    }

    @Test("rename moves objects and whole directories, replaces objects, and refuses what POSIX refuses")
    func renames() async throws {
        try await AgentFixture.run { agent in
            let cache = agent.cache
            let bytes = sample(100_000, seed: 6)
            try await agent.put(try Key("ci/d/a"), bytes)
            try await agent.put(try Key("ci/d/e/b"), bytes)
            try await agent.put(try Key("ci/f"), [1])
            _ = try await cache.rename(try Key("ci/d"), to: try Key("ci/g"))
            #expect(try cache.lookup(try Key("ci/d/a")) == nil)
            #expect(try cache.isDirectory("ci/d") == false)
            let moved = try #require(try cache.lookup(try Key("ci/g/e/b")))
            #expect(try await agent.read(moved) == bytes)
            _ = try await cache.rename(try Key("ci/g/a"), to: try Key("ci/f"))
            #expect(try cache.lookup(try Key("ci/f"))?.size == 100_000)
            try await expect(.isDirectory) { _ = try await cache.rename(try Key("ci/f"), to: try Key("ci/g")) }
            try await expect(.notDirectory) { _ = try await cache.rename(try Key("ci/g"), to: try Key("ci/f")) }
            try await expect(.exists) {
                _ = try await cache.rename(try Key("ci/g/e/b"), to: try Key("ci/f"), exclusive: true)
            }
            try await expect(.notFound) { _ = try await cache.rename(try Key("ci/none"), to: try Key("ci/x")) }
            try await expect(.notEmpty) { try await cache.removeDirectory(try Key("ci/g")) }
            try await expect(.notDirectory) { try await agent.put(try Key("ci/f/below"), [1]) }
            try await expect(.isDirectory) { try await agent.put(try Key("ci/g"), [1]) }
        }
    }

    private func expect(_ code: ObjectError.Code, _ body: () async throws -> Void) async throws {
        let error = await #expect(throws: ObjectError.self) { try await body() }
        #expect(error?.code == code)
    }
}
