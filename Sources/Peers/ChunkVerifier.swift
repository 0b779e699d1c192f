// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content
import Storage

/// Turns frames into verified chunks: only what was asked for, each once, each with the digest that it claims (P2).
public struct ChunkVerifier: Sendable {
    /// What was asked for and has been neither received nor told to be absent.
    public private(set) var wanted: Set<Digest>
    /// What the other side does not have.
    public private(set) var absent: Set<Digest> = []

    public init(_ request: ChunkRequest) { wanted = Set(request.chunks) }

    /// - Throws: ``PeersError`` `lying`, with what is wrong.
    public mutating func verify(_ frame: Frame) throws(PeersError) -> [ReceivedChunk] {
        switch frame {
        case .working, .end: return []
        case .message, .delta:
            throw PeersError(.lying, "a request for chunks by digest was answered with something else")
        case .absent(let digests):
            for digest in digests {
                try take(digest)
                absent.insert(digest)
            }
            return []
        case .stored(let stored):
            try take(stored.digest)
            let raw = try ChunkVerifier.decode(stored.codec, stored.payload, count: stored.rawLength)
            try ChunkVerifier.check(raw[...], stored.digest)
            return [
                ReceivedChunk(
                    digest: stored.digest,
                    kind: stored.kind,
                    raw: raw,
                    stored: (stored.codec, stored.payload)
                )
            ]
        case .batch(let batch):
            let raw = try ChunkVerifier.decode(batch.codec, batch.payload, count: batch.rawLength)
            var out: [ReceivedChunk] = []
            var at = 0
            for part in batch.parts {
                try take(part.digest)
                let slice = raw[at..<at + part.length]
                at += part.length
                try ChunkVerifier.check(slice, part.digest)
                out.append(ReceivedChunk(digest: part.digest, kind: part.kind, raw: Array(slice)))
            }
            return out
        }
    }

    private mutating func take(_ digest: Digest) throws(PeersError) {
        guard wanted.remove(digest) != nil else {
            throw PeersError(.lying, "chunk \(digest) was sent and not asked for, or sent twice")
        }
    }

    static func decode(_ codec: Codec, _ payload: [UInt8], count: Int) throws(PeersError) -> [UInt8] {
        do {
            return try [UInt8](unsafeUninitializedCapacity: count) { out, used in
                try payload.withUnsafeBytes { source in
                    try Decompressor.withShared { decompressor in
                        try decompressor.decompress(
                            codec,
                            source,
                            into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(out)[..<count])
                        )
                    }
                }
                used = count
            }
        } catch {
            throw PeersError(.lying, "a chunk's bytes do not decode: \(error)")
        }
    }

    private static func check(_ raw: ArraySlice<UInt8>, _ digest: Digest) throws(PeersError) {
        let found = raw.withUnsafeBytes { Digest.sha256(of: $0) }
        guard found == digest else {
            throw PeersError(.lying, "bytes that were sent as chunk \(digest) are \(found)")
        }
    }
}
