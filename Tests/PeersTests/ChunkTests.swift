// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import NIOConcurrencyHelpers
import Peers
import Storage
import Testing

/// Puts chunks into a store when they are asked for.
private final class MakingProvider: ChunkProvider {
    let store: Store
    let raw: [Digest: [UInt8]]
    let asked = NIOLockedValueBox<[FetchLevel]>([])

    init(_ store: Store, _ raw: [Digest: [UInt8]]) {
        self.store = store
        self.raw = raw
    }

    func makeAvailable(_ request: ChunkRequest) async throws {
        asked.withLockedValue { $0.append(request.level) }
        for digest in request.chunks {
            guard let bytes = raw[digest] else { continue }
            _ = try bytes.withUnsafeBytes { try store.chunks.insert(digest, kind: .data, raw: $0) }
        }
    }
}

@Suite("Chunks: asked for by digest, verified before anybody sees them", .timeLimit(.minutes(5)))
struct ChunkTests {
    private func contents(_ random: inout Random, _ count: Int) -> [[UInt8]] {
        (0..<count).map { number in
            // Every other one compresses.
            number % 2 == 0
                ? random.bytes(Int.random(in: 1...200_000, using: &random))
                : [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 100_000 + number)
        }
    }

    private func fetch(
        _ agent: Agent,
        _ digests: [Digest],
        from source: Source,
        level: FetchLevel
    ) async throws -> (chunks: [ReceivedChunk], absent: Set<Digest>) {
        var chunks: [ReceivedChunk] = []
        let request = ChunkRequest(manifest: digests[0], chunks: digests, level: level, priority: .reader)
        let absent = try await agent.service.fetch(request, from: source) { chunks.append($0) }
        return (chunks, absent)
    }

    @Test("A peer streams stored chunks in the order asked for and says what it does not have")
    func storedFromPeer() async throws {
        var random = Random("stored chunks")
        let contents = contents(&random, 40)
        let one = try Agent("one") { _ in }
        let digests = try contents.map { try one.insert($0) }
        try await running([one]) {
            let address = try await one.address()
            let two = try Agent("two") { $0.peers = [address] }
            try await running([two]) {
                let source = Source(
                    agent: one.service.agent, name: "one", site: "basement", address: address, kind: .holder,
                    level: .store
                )
                let missing = Digest.sha256(of: Array("missing".utf8))
                var wanted = digests
                wanted.insert(missing, at: 7)
                let (chunks, absent) = try await fetch(two, wanted, from: source, level: .reader)
                #expect(chunks.map(\.raw) == contents)
                #expect(chunks.allSatisfy { $0.stored != nil })
                #expect(absent == [missing])
            }
        }
    }

    @Test("Over a link chunks come in batches, through the governor, and the provider brings what is missing")
    func batchesOverLink() async throws {
        var random = Random("batches")
        let contents = contents(&random, 60)
        let west = try Agent("west", site: "basement") {
            $0.links = [.init(site: "cloud", address: nil)]
            $0.uplink = 200e6
        }
        let digests = try contents.prefix(30).map { try west.insert($0) }
        let later = Dictionary(uniqueKeysWithValues: contents.dropFirst(30).map { (Digest.sha256(of: $0), $0) })
        let provider = MakingProvider(west.store, later)
        west.service.setProvider(provider)
        let all = digests + contents.dropFirst(30).map { Digest.sha256(of: $0) }
        try await running([west]) {
            let address = try await west.address()
            let east = try Agent("east", site: "cloud") { $0.links = [.init(site: "basement", address: address)] }
            try await running([east]) {
                let source = Source(
                    agent: west.service.agent, name: "west", site: "basement", address: address, kind: .link,
                    level: .site
                )
                let missing = Digest.sha256(of: Array("missing".utf8))
                let (chunks, absent) = try await fetch(east, all + [missing], from: source, level: .reader)
                #expect(chunks.map(\.raw) == contents)
                #expect(chunks.allSatisfy { $0.stored == nil })
                #expect(absent == [missing])
                #expect(provider.asked.withLockedValue { $0.allSatisfy { $0 == .site } && !$0.isEmpty })
                let (_, none) = try await fetch(east, [missing], from: source, level: .store)
                #expect(none == [missing])
                #expect(await east.service.promote(1, at: source, to: .reader) == ())
                #expect(try await !east.service.lease(missing, from: source, for: .seconds(1)))
            }
        }
    }

    @Test("A refused connection fails at once with a name")
    func refused() async throws {
        let one = try Agent("one") { _ in }
        let address = try await running([one]) { try await one.address() }
        let two = try Agent("two") { _ in }
        try await running([two]) {
            let source = Source(
                agent: one.service.agent, name: "one", site: "basement", address: address, kind: .holder, level: .store
            )
            let digest = Digest.sha256(of: [])
            let error = await #expect(throws: PeersError.self) {
                try await fetch(two, [digest], from: source, level: .store)
            }
            #expect(error?.code == .unavailable)
        }
    }

    @Test("A stranger's site is refused")
    func strangerIsRefused() async throws {
        let one = try Agent("one") { _ in }
        try await running([one]) {
            let address = try await one.address()
            let stranger = try Agent("stranger", site: "elsewhere") {
                $0.links = [.init(site: "basement", address: address)]
            }
            try await running([stranger]) {
                let source = Source(
                    agent: one.service.agent, name: "one", site: "basement", address: address, kind: .link, level: .site
                )
                let error = await #expect(throws: PeersError.self) {
                    try await fetch(stranger, [Digest.sha256(of: [])], from: source, level: .store)
                }
                #expect(error?.code == .refused)
            }
        }
    }
}
