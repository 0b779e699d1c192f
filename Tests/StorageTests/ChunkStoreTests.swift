// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Storage
import Testing

@Suite(.timeLimit(.minutes(5))) struct ChunkStoreTests {
    @Test func chunksComeBackAsTheyWere() throws {
        var generator = Seeded("chunksComeBackAsTheyWere")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let kinds: [ChunkKind] = [.data, .blockList, .manifest]
        var samples = Sample.some(150, &generator)
        samples += [Sample([7]), Sample(&generator, count: 262_144), Sample(&generator, count: 3 << 20)]
        for (at, sample) in samples.enumerated() { #expect(try store.chunks.insert(sample, kind: kinds[at % 3])) }
        for (at, sample) in samples.enumerated() {
            #expect(store.chunks.contains(sample.digest))
            #expect(store.chunks.length(of: sample.digest) == sample.bytes.count)
            #expect(store.chunks.kind(of: sample.digest) == kinds[at % 3])
            #expect(try store.chunks.holds(sample))
            var out = [UInt8](repeating: 0xee, count: sample.bytes.count + 5)
            #expect(
                try out.withUnsafeMutableBytes { try store.chunks.read(sample.digest, into: $0) } == sample.bytes.count)
            #expect(Array(out.dropLast(5)) == sample.bytes && out.suffix(5).allSatisfy { $0 == 0xee })
        }
        #expect(store.chunks.statistics.chunks == samples.count)
        #expect(store.chunks.statistics.corrupt == 0)
        #expect(try directory.segments.count > 1)
    }

    @Test func aChunkGoesFromStoreToStoreAsItIsStored() throws {
        var generator = Seeded("aChunkGoesFromStoreToStore")
        let (one, two) = (try TemporaryDirectory(), try TemporaryDirectory())
        let (from, to) = (try one.open(), try two.open())
        for sample in Sample.some(40, &generator) {
            try from.chunks.insert(sample, kind: .blockList)
            let stored = try #require(try from.chunks.readStored(sample.digest))
            #expect(
                stored.rawLength == sample.bytes.count && stored.kind == .blockList && stored.digest == sample.digest)
            let isNew = try stored.payload.withUnsafeBytes {
                try to.chunks.insert(
                    stored.digest, kind: stored.kind, codec: stored.codec, rawLength: stored.rawLength, payload: $0)
            }
            #expect(isNew)
            #expect(try to.chunks.holds(sample))
        }
    }

    @Test func whatIsNotHereIsNotHere() throws {
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let digest = Digest.sha256(of: [1])
        #expect(!store.chunks.contains(digest))
        #expect(store.chunks.length(of: digest) == nil)
        #expect(try store.chunks.read(digest) == nil)
        #expect(try store.chunks.readStored(digest) == nil)
        #expect(!store.chunks.drop(digest))
    }

    @Test func aChunkOfDataIsFoundByBitsOfItsDigestAndItsLength() throws {
        var generator = Seeded("aChunkIsFoundByBitsOfItsDigest")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        // Enough for tables to grow, so that look-ups go past slots of others.
        let samples = Sample.some(3000, &generator)
        for (at, sample) in samples.enumerated() {
            try store.chunks.insert(sample, kind: at % 10 == 0 ? .blockList : .data)
        }
        for (at, sample) in samples.enumerated() {
            let bits = DigestPrefix(of: sample.digest)
            let found = try store.chunks.digest(of: bits, length: sample.bytes.count)
            #expect(found == (at % 10 == 0 ? nil : sample.digest))
            #expect(try store.chunks.digest(of: bits, length: sample.bytes.count + 1) == nil)
            #expect(try store.chunks.digest(of: DigestPrefix(bits: ~bits.bits), length: sample.bytes.count) == nil)
        }
    }

    @Test func aChunkIsStoredOnce() throws {
        var generator = Seeded("aChunkIsStoredOnce")
        let store = try TemporaryDirectory().open()
        let sample = Sample(&generator)
        #expect(try store.chunks.insert(sample))
        let before = store.chunks.statistics.storedBytes
        #expect(try !store.chunks.insert(sample))
        #expect(store.chunks.statistics.storedBytes == before)
    }

    @Test func lengthsThatCannotBeAreRefused() throws {
        let store = try TemporaryDirectory().open()
        let digest = Digest.sha256(of: [1])
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        #expect { try store.chunks.insert(digest, kind: .data, raw: empty) } throws: {
            ($0 as? StorageError)?.code == .tooLarge
        }
        #expect(throws: StorageError.self) {
            try [UInt8](repeating: 1, count: 5).withUnsafeBytes {
                try store.chunks.insert(digest, kind: .data, codec: .plain, rawLength: 6, payload: $0)
            }
        }
        try [UInt8](repeating: 1, count: 5).withUnsafeBytes {
            _ = try store.chunks.insert(digest, kind: .data, raw: $0)
        }
        var short = [UInt8](repeating: 0, count: 4)
        #expect { try short.withUnsafeMutableBytes { try store.chunks.read(digest, into: $0) } } throws: {
            ($0 as? StorageError)?.code == .tooLarge
        }
    }

    @Test func manyThreadsInsertTheSameChunksOnce() async throws {
        var generator = Seeded("manyThreadsInsertTheSameChunksOnce")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let samples = Sample.some(300, &generator)
        let won = try await withThrowingTaskGroup(of: Int.self) { group in
            for lane in 0..<8 {
                group.addTask {
                    var won = 0
                    for at in samples.indices {
                        let sample = samples[(at + lane * 3) % samples.count]
                        if try store.chunks.insert(sample) { won += 1 }
                        // Whoever lost finds it at once too.
                        guard try store.chunks.holds(sample) else { throw WrongBytes() }
                    }
                    return won
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(won == samples.count)
        #expect(store.chunks.statistics.chunks == samples.count)
        try store.close()
        let again = try directory.open()
        for sample in samples { #expect(try again.chunks.holds(sample)) }
    }

    @Test func theIndexGrowsUnderItsReaders() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.open(segmentByteCount: 64 << 20)
        @Sendable func bytes(_ number: Int) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<4 {
                group.addTask {
                    for number in stride(from: lane, to: 120_000, by: 4) {
                        try store.chunks.insert(Sample(bytes(number)))
                        let back = Sample(bytes(number - number % 4 + lane - min(number, 4 * (number % 100))))
                        _ = try store.chunks.holds(back)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(store.chunks.statistics.chunks == 120_000)
        #expect(try FileManager.default.contentsOfDirectory(atPath: store.directory + "/index").count == 64)
        try store.close()
        let again = try directory.open()
        #expect(again.chunks.statistics.chunks == 120_000)
        for number in stride(from: 0, to: 120_000, by: 7) { #expect(try again.chunks.holds(Sample(bytes(number)))) }
    }

    @Test func aScrubFindsWhatIsCorruptAndNothingElse() throws {
        var generator = Seeded("aScrubFindsWhatIsCorrupt")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let samples = Sample.some(100, &generator)
        for sample in samples { try store.chunks.insert(sample) }
        #expect(try ChunkStoreTests.scrub(store).corrupt == 0)
        try overwrite(directory.segments[0], at: 100_000, with: [1, 2, 3, 4, 5, 6, 7, 8, 9])
        let found = try ChunkStoreTests.scrub(store)
        #expect(found.chunks == 100)
        #expect(found.corrupt == 1)
        #expect(try samples.filter { try !store.chunks.holds($0) }.count == 1)
        #expect(try ChunkStoreTests.scrub(store).corrupt == 0)
        #expect(store.chunks.statistics.corrupt == 1)
    }

    static func scrub(_ store: Store) throws -> (chunks: Int, corrupt: Int) {
        var (chunks, corrupt) = (0, 0)
        var position: ScrubPosition? = .start
        while let at = position {
            let step = try store.chunks.scrub(from: at, byteBudget: 100_000)
            chunks += step.chunks
            corrupt += step.corrupt
            position = step.next
        }
        return (chunks, corrupt)
    }

    @Test func aRunOfChunksIsKeptLikeEachOfThem() throws {
        var generator = Seeded("aRunOfChunks")
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        var samples = Sample.some(120, &generator)
        samples += [Sample([7]), Sample(&generator, count: 262_144)]
        try store.chunks.insert(samples[0])
        // Some are here already, some come twice.
        let run = samples + samples[..<40]
        let bytes = run.map { sample -> UnsafeMutableRawBufferPointer in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: sample.bytes.count, alignment: 1)
            copy.copyBytes(from: sample.bytes)
            return copy
        }
        defer { for copy in bytes { copy.deallocate() } }
        let chunks = zip(run, bytes).map { RawChunk(digest: $0.digest, bytes: UnsafeRawBufferPointer($1)) }
        #expect(try store.chunks.insert(chunks) == samples.count - 1)
        #expect(store.chunks.statistics.chunks == samples.count)
        for sample in samples { #expect(try store.chunks.holds(sample)) }
        // The records are found again without the index.
        let copy = try TemporaryDirectory(copyOf: directory)
        try FileManager.default.removeItem(atPath: copy.path + "/store/index")
        let again = try copy.open()
        for sample in samples { #expect(try again.chunks.holds(sample)) }
        #expect(again.chunks.statistics.chunks == samples.count)
    }
}
