// SPDX-License-Identifier: Apache-2.0

public import Content

/// How far an agent goes for a chunk that it is asked for. A level only falls from one agent to the next: no cycles.
public enum FetchLevel: UInt8, Comparable, Sendable {
    /// Only its own store.
    case store = 0
    /// Asked over a link: its store, then the holders of its site.
    case site = 1
    /// A gateway asked by a peer of its site: its store, the holders of its site, then its links.
    case gateway = 2
    /// The owner of a block asked by a peer of its site: its store, the holders of its site, then the gateway.
    case owner = 3
    /// For somebody on this node: everything.
    case reader = 4

    public static func < (a: FetchLevel, b: FetchLevel) -> Bool { a.rawValue < b.rawValue }
}

/// Who goes first where the line is thin; the lower number first.
public enum Priority: UInt8, Comparable, Sendable, CaseIterable {
    /// Somebody is waiting for it.
    case reader = 0
    /// Hinted, with a time by which it will be read.
    case deadline = 1
    case hinted = 2
    case replication = 3

    public static func < (a: Priority, b: Priority) -> Bool { a.rawValue < b.rawValue }
}

/// A request for chunks, block lists or manifests, by digest.
///
/// Format: `u8` 1, `u64` id, 32-byte manifest, `u8` level, `u8` priority, count of digests, digests.
public struct ChunkRequest: Sendable {
    /// Any number that is unlikely to be used twice; names the request in a promotion.
    public let id: UInt64
    /// The object for whose sake the chunks are wanted.
    public let manifest: Digest
    /// What is wanted, in the order in which it is wanted. May be the manifest itself.
    public let chunks: [Digest]
    public let level: FetchLevel
    public let priority: Priority

    public init(
        id: UInt64 = .random(in: .min ... .max),
        manifest: Digest,
        chunks: [Digest],
        level: FetchLevel,
        priority: Priority
    ) {
        self.id = id
        self.manifest = manifest
        self.chunks = chunks
        self.level = level
        self.priority = priority
    }

    /// The same request for some of its chunks.
    public func narrowed(to chunks: [Digest]) -> ChunkRequest {
        ChunkRequest(id: id, manifest: manifest, chunks: chunks, level: level, priority: priority)
    }

    /// The most bytes that any of the wanted may have, decoded: a manifest may be large, everything else is a chunk.
    public var lengthMax: Int {
        chunks.contains(manifest) ? Manifest.encodedByteCountMax : Int(Manifest.chunkLengthMax)
    }

    public func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: 64 + chunks.count * Digest.byteCount)
        out.fixed(UInt8(1))
        out.fixed(id)
        out.digest(manifest)
        out.fixed(level.rawValue)
        out.fixed(priority.rawValue)
        out.count(chunks.count)
        for chunk in chunks { out.digest(chunk) }
        return out.bytes
    }

    /// - Throws: ``ContentError`` `malformed` or `unsupported`.
    public init(decoding bytes: [UInt8], digestsMax: Int) throws(ContentError) {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown request format") }
        let id = try reader.fixed(UInt64.self)
        let manifest = try reader.digest()
        guard let level = FetchLevel(rawValue: try reader.fixed()), level < .reader else {
            throw ContentError(.malformed, "a request has no level that a peer may ask at")
        }
        guard let priority = Priority(rawValue: try reader.fixed()) else {
            throw ContentError(.malformed, "a request has no known priority")
        }
        let count = try reader.count(max: min(digestsMax, reader.remaining / Digest.byteCount))
        var chunks: [Digest] = []
        chunks.reserveCapacity(count)
        for _ in 0..<count { chunks.append(try reader.digest()) }
        try reader.end()
        self.init(id: id, manifest: manifest, chunks: chunks, level: level, priority: priority)
    }
}
