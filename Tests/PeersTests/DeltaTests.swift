// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Peers
import Storage
import Testing

@Suite("Deltas over links: requests, frames, serving", .timeLimit(.minutes(2)))
struct DeltaTests {
    @Test("A request is decoded as it was encoded; changed and random bytes are requests or errors, never a trap")
    func requests() throws {
        var random = Random("delta requests")
        let digests = (0..<4).map { _ in Digest.sha256(of: random.bytes(4)) }
        let parts: [DeltaRequest.Part] = [
            .manifest, .skeletons([0..<3, 7..<8, 1_000_000..<1_000_200]),
            .chunks([
                .init(block: 0, chunks: [0]), .init(block: 5, chunks: [1, 8, 63, 255]), .init(block: 6, chunks: [2]),
            ]),
        ]
        for part in parts {
            let request = DeltaRequest(manifest: digests[0], bases: digests, priority: .hinted, part: part)
            let again = try DeltaRequest(decoding: request.encoded())
            #expect(again.part == part && again.bases == digests && again.id == request.id && again.level == .site)
            for _ in 0..<500 {
                var bytes = request.encoded()
                bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
                _ = try? DeltaRequest(decoding: bytes)
                _ = try? DeltaRequest(decoding: Array(bytes.prefix(Int.random(in: 0..<bytes.count, using: &random))))
            }
        }
        let tooMany = DeltaRequest(
            manifest: digests[0], bases: [], priority: .reader, part: .skeletons([0..<DeltaRequest.skeletonsMax + 1])
        )
        #expect(throws: ContentError.self) { try DeltaRequest(decoding: tooMany.encoded()) }
        let bases = DeltaRequest(manifest: digests[0], bases: digests + digests, priority: .reader, part: .manifest)
        #expect(throws: ContentError.self) { try DeltaRequest(decoding: bases.encoded()) }
        let reader = DeltaRequest(manifest: digests[0], bases: [], level: .reader, priority: .reader, part: .manifest)
        #expect(throws: ContentError.self) { try DeltaRequest(decoding: reader.encoded()) }
    }

    /// An object of chunks in a store, cut as they are given.
    private struct Made {
        let manifest: Manifest
        let digest: Digest
        let lists: [BlockList]
        let chunks: [[UInt8]]

        init(_ chunks: [[UInt8]]) {
            var builder = ManifestBuilder()
            var lists: [BlockList] = []
            for chunk in chunks {
                let reference = ChunkReference(digest: Digest.sha256(of: chunk), length: UInt32(chunk.count))
                if let list = builder.append(reference) { lists.append(list) }
            }
            if let list = builder.finish() { lists.append(list) }
            self.lists = lists
            self.chunks = chunks
            manifest = builder.manifest
            digest = Digest.sha256(of: manifest.encoded())
        }

        func put(into store: Store, chunks count: Int? = nil) throws {
            for chunk in chunks.prefix(count ?? .max) { try put(chunk, .data, store) }
            for list in lists { try put(list.encoded(), .blockList, store) }
            try put(manifest.encoded(), .manifest, store)
        }

        private func put(_ raw: [UInt8], _ kind: ChunkKind, _ store: Store) throws {
            _ = try raw.withUnsafeBytes { try store.chunks.insert(Digest.sha256(of: raw), kind: kind, raw: $0) }
        }

        var sequence: ChunkSequence { ChunkSequence(lists: lists) }
    }

    private func linked(
        _ prepare: (Store) throws -> Void, _ body: (Agent, Agent, Source) async throws -> Void
    ) async throws {
        let west = try Agent("west", site: "basement") { $0.links = [.init(site: "cloud", address: nil)] }
        try prepare(west.store)
        try await running([west]) {
            let address = try await west.address()
            let east = try Agent("east", site: "cloud") { $0.links = [.init(site: "basement", address: address)] }
            try await running([east]) {
                let source = Source(
                    agent: west.service.agent, name: "west", site: "basement", address: address, kind: .link,
                    level: .site
                )
                try await body(west, east, source)
            }
        }
    }

    @Test("Manifest, skeletons and chunks come against the bases that the sender has, and every batch decodes")
    func serves() async throws {
        var random = Random("serving deltas")
        let old = Made((0..<60).map { _ in random.bytes(20_000) })
        let stranger = Made([random.bytes(1000)])
        var chunks = old.chunks
        for at in stride(from: 3, to: 60, by: 7) { chunks[at][500] ^= 1 }
        let new = Made(chunks)
        try await linked { store in
            try old.put(into: store)
            try new.put(into: store)
        } _: { _, east, source in
            let bases = [stranger.digest, old.digest]
            let manifest = DeltaRequest(manifest: new.digest, bases: bases, priority: .reader, part: .manifest)
            let bytes = try await east.service.fetchManifest(
                manifest, bases: [stranger.manifest, old.manifest], from: source)
            #expect(bytes == new.manifest.encoded())

            let blocks = 0..<new.lists.count
            let request = DeltaRequest(
                manifest: new.digest, bases: bases, priority: .reader, part: .skeletons([blocks]))
            let sequences = [stranger.sequence, old.sequence]
            let received = try #require(
                try await east.service.fetchSkeletons(request, bases: sequences, from: source))
            #expect(received.isUsed == [false, true])
            var selections: [BlockSelection] = []
            var wanted: [[UInt8]] = []
            var at = 0
            for (block, items) in received.skeletons.enumerated() {
                var chosen: [Int] = []
                for (index, item) in items.enumerated() {
                    if case .new(let length, let prefix) = item {
                        #expect(Int(length) == chunks[at].count && prefix.matches(Digest.sha256(of: chunks[at])))
                        chosen.append(index)
                        wanted.append(chunks[at])
                    }
                    at += 1
                }
                if !chosen.isEmpty { selections.append(BlockSelection(block: block, chunks: chosen)) }
            }
            #expect(wanted.count == 9)
            let ask = DeltaRequest(manifest: new.digest, bases: bases, priority: .reader, part: .chunks(selections))
            var got: [[UInt8]] = []
            var payload = 0
            try await east.service.fetchDeltas(ask, count: wanted.count, from: source) { frame in
                let (names, packed) = try frame.open(against: sequences)
                payload += packed.count
                let held = Dictionary(old.chunks.map { (Digest.sha256(of: $0), $0) }) { a, _ in a }
                let raw = try DeltaBatch.decode(
                    packed, bases: names, rawByteCount: frame.parts.reduce(0) { $0 + wanted[$1].count }
                ) { chunk, buffer in buffer.copyBytes(from: held[chunk.digest] ?? []) }.get()
                var from = 0
                for part in frame.parts {
                    got.append(Array(raw[from..<from + wanted[part].count]))
                    from += wanted[part].count
                }
            }
            #expect(got == wanted)
            #expect(payload < 10_000, "\(payload) bytes of incompressible chunks with one changed byte each")
        }
    }

    @Test("New content that does not shrink fills batches to their bound, and they are taken")
    func incompressible() async throws {
        var random = Random("incompressible deltas")
        let object = Made((0..<60).map { _ in random.bytes(90_000) })
        try await linked {
            try object.put(into: $0)
        } _: { _, east, source in
            let selections = object.lists.enumerated().map { number, list in
                BlockSelection(block: number, chunks: Array(list.chunks.indices))
            }
            let ask = DeltaRequest(manifest: object.digest, bases: [], priority: .reader, part: .chunks(selections))
            // They come in whatever order they are ready.
            var batches: [Int: [UInt8]] = [:]
            var longest = 0
            try await east.service.fetchDeltas(ask, count: object.chunks.count, from: source) { frame in
                let (_, packed) = try frame.open(against: [])
                let count = object.chunks[frame.parts].reduce(0) { $0 + $1.count }
                batches[frame.parts.lowerBound] = try DeltaBatch.decode(packed, bases: [], rawByteCount: count) {
                    _, _ in
                }.get()
                longest = max(longest, packed.count)
            }
            let got = batches.sorted { $0.key < $1.key }.flatMap(\.value)
            let isSame = got == object.chunks.flatMap(\.self)
            #expect(isSame, "\(got.count) bytes came")
            #expect(longest > 1 << 20, "no batch was longer than a chunk may be, the longest \(longest)")
        }
    }

    @Test("What the sender does not have is left out, and a request beyond the object gets nothing")
    func absent() async throws {
        var random = Random("absent deltas")
        let object = Made((0..<20).map { _ in random.bytes(5000) })
        try await linked {
            try object.put(into: $0, chunks: 0)
        } _: { _, east, source in
            let nobody = Digest.sha256(of: [7])
            let unknown = DeltaRequest(manifest: nobody, bases: [], priority: .reader, part: .manifest)
            #expect(try await east.service.fetchManifest(unknown, bases: [], from: source) == nil)
            let beyond = DeltaRequest(manifest: object.digest, bases: [], priority: .reader, part: .skeletons([5..<9]))
            #expect(try await east.service.fetchSkeletons(beyond, bases: [], from: source)?.skeletons.count == nil)
            for selection in [BlockSelection(block: 0, chunks: [0, 1]), BlockSelection(block: 0, chunks: [250])] {
                let ask = DeltaRequest(
                    manifest: object.digest, bases: [], priority: .reader, part: .chunks([selection]))
                try await east.service.fetchDeltas(ask, count: selection.chunks.count, from: source) { _ in
                    Issue.record("a batch of what is not there")
                }
            }
        }
    }

    struct Lie: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let answer: [UInt8]
        var code = PeersError.Code.lying
    }

    static var lies: [Lie] {
        let end = FrameEncoder().encode(.end)
        let other = ManifestDelta.encode(Manifest(algorithm: 1, blocks: []), against: [])
        func message(_ raw: [UInt8], used: UInt8 = 0, length: Int? = nil, codec: Codec = .plain) -> [UInt8] {
            let frame = MessageFrame(usedBases: used, codec: codec, rawLength: length ?? raw.count, payload: raw)
            return FrameEncoder().encode(.message(frame))
        }
        let batch = FrameEncoder().encode(.delta(DeltaFrame(parts: 0..<1, bases: [], payload: [1])))
        let beyond = FrameEncoder().encode(.delta(DeltaFrame(parts: 3..<9, bases: [], payload: [1])))
        return [
            Lie(testDescription: "garbage", answer: Liar.http([9, 9, 9, 9, 9, 9])),
            Lie(testDescription: "a message of garbage", answer: Liar.http(message([200, 200, 200]) + end)),
            Lie(testDescription: "another message", answer: Liar.http(message(other) + end)),
            Lie(testDescription: "too long", answer: Liar.http(message([1], length: 1 << 31) + end)),
            Lie(testDescription: "a bomb", answer: Liar.http(message([1, 2], length: 4000, codec: .zstd) + end)),
            Lie(testDescription: "two messages", answer: Liar.http(message(other) + message(other) + end)),
            Lie(testDescription: "parts twice, or nothing asked", answer: Liar.http(batch + batch + end)),
            Lie(testDescription: "parts beyond", answer: Liar.http(beyond + end)),
            Lie(testDescription: "by digest", answer: Liar.http(FrameEncoder().encode(.absent([])) + end)),
            Lie(testDescription: "no end", answer: Liar.http([]), code: .unavailable),
            Lie(testDescription: "truncated", answer: Liar.http(Array(batch.dropLast())), code: .unavailable),
        ]
    }

    @Test("A lie ends a request for a manifest, skeletons or chunks", arguments: lies)
    func liesAreRefused(lie: Lie) async throws {
        let liar = try Liar(answer: lie.answer)
        let agent = try Agent("agent") { _ in }
        try await running([agent]) {
            let source = Source(
                agent: AgentID(high: 1, low: 2), name: "liar", site: "basement",
                address: PeerAddress(host: "127.0.0.1", port: liar.port), kind: .link, level: .site
            )
            let digest = Digest.sha256(of: [1])
            func request(_ part: DeltaRequest.Part) -> DeltaRequest {
                DeltaRequest(manifest: digest, bases: [], priority: .reader, part: part)
            }
            let errors = [
                await #expect(throws: PeersError.self) {
                    _ = try await agent.service.fetchManifest(request(.manifest), bases: [], from: source)
                },
                await #expect(throws: PeersError.self) {
                    _ = try await agent.service.fetchSkeletons(request(.skeletons([0..<2])), bases: [], from: source)
                },
                await #expect(throws: PeersError.self) {
                    let selection = BlockSelection(block: 0, chunks: [0, 1])
                    try await agent.service.fetchDeltas(request(.chunks([selection])), count: 2, from: source) {
                        frame in
                        let (_, payload) = try frame.open(against: [])
                        // As whoever decodes says it.
                        guard payload.count > 1 else { return }
                        throw PeersError(.lying, "does not decode")
                    }
                },
            ]
            #expect(errors.map { $0?.code } == [lie.code, lie.code, lie.code], "\(errors.map { $0?.message })")
        }
    }
}
