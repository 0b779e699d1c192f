// SPDX-License-Identifier: Apache-2.0

public import Content
import NIOPosix
import Storage

/// A chunk of which 48 bits of its digest and its length are known.
public struct ChunkName: Hashable, Sendable {
    public let prefix: DigestPrefix
    public let length: UInt32

    public init(prefix: DigestPrefix, length: UInt32) {
        self.prefix = prefix
        self.length = length
    }
}

extension PeerService {
    /// Peers that are asked before a link: with more of them the asking would take longer than it saves.
    static let heldPeersMax = 16
    /// The most chunks in one question: those of a request to a link.
    static let heldNamesMax = DeltaRequest.selectionsMax * BlockList.chunkCountMax
    /// How long answers are waited for: a peer that is slower than this keeps a reader waiting for longer than the link.
    static let heldLimit = Duration.milliseconds(500)

    /// Asks the live peers of this site at once which of some chunks they hold.
    ///
    /// - Returns: for each peer that holds any, the digests by index of `names`. Who does not answer holds none.
    public func held(_ names: [ChunkName]) async -> [(source: Source, digests: [Int: Digest])] {
        let peers = sitePeers().prefix(PeerService.heldPeersMax)
        guard !peers.isEmpty, !names.isEmpty, names.count <= PeerService.heldNamesMax else { return [] }
        var out = ByteWriter(reserving: 8 + names.count * 11)
        out.count(names.count)
        for name in names {
            out.fixed(name.prefix.bits)
            out.count(UInt64(name.length))
        }
        let body = out.bytes
        return await withTaskGroup(of: (Source, [Int: Digest]).self) { group in
            for peer in peers { group.addTask { (peer, await self.askHeld(body, names, peer)) } }
            var found: [(source: Source, digests: [Int: Digest])] = []
            for await (source, digests) in group where !digests.isEmpty { found.append((source, digests)) }
            return found
        }
    }

    private func askHeld(_ body: [UInt8], _ names: [ChunkName], _ peer: Source) async -> [Int: Digest] {
        do {
            let answer = try await client()
                .post(Wire.held, body, to: peer.address, limit: PeerService.heldLimit)
            var reader = ByteReader(answer)
            var digests: [Int: Digest] = [:]
            var next = 0
            while reader.remaining > 0 {
                let at = next + (try reader.count(max: names.count))
                let digest = try reader.digest()
                guard at < names.count, names[at].prefix.matches(digest) else { return [:] }
                digests[at] = digest
                next = at + 1
            }
            return digests
        } catch {
            return [:]
        }
    }

    /// Says which of the chunks of a peer's question are in the store: the distance from the one before, and a digest.
    func answerHeld(_ body: [UInt8]) async throws -> [UInt8] {
        var reader = ByteReader(body)
        let count = try reader.count(max: min(PeerService.heldNamesMax, reader.remaining / 9))
        var names: [ChunkName] = []
        names.reserveCapacity(count)
        for _ in 0..<count {
            let prefix = DigestPrefix(bits: try reader.fixed())
            names.append(ChunkName(prefix: prefix, length: UInt32(try reader.count(max: Int(Manifest.chunkLengthMax)))))
        }
        try reader.end()
        let (store, asked) = (store.chunks, names)
        return try await NIOThreadPool.singleton.runIfActive {
            var out = ByteWriter()
            var next = 0
            for (at, name) in asked.enumerated() {
                guard let digest = try store.digest(of: name.prefix, length: Int(name.length)) else { continue }
                out.count(at - next)
                out.digest(digest)
                next = at + 1
            }
            return out.bytes
        }
    }
}
