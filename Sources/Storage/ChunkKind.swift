// SPDX-License-Identifier: Apache-2.0

public import Chunking
public import Content

/// What a chunk's bytes are to us. The numbers are part of the store's format and of the wire's.
public enum ChunkKind: UInt8, Sendable {
    /// A run of an object's bytes.
    case data = 0
    /// An encoded block list.
    case blockList = 1
    /// An encoded manifest.
    case manifest = 2
}

/// A chunk as the store keeps it, checked: what one agent hands to another of its site without decoding it.
public struct StoredChunk: Sendable {
    public let digest: Digest
    public let kind: ChunkKind
    public let codec: Codec
    /// Bytes of the chunk, decoded.
    public let rawLength: Int
    /// The chunk's bytes in `codec`.
    public let payload: [UInt8]

    public init(digest: Digest, kind: ChunkKind, codec: Codec, rawLength: Int, payload: [UInt8]) {
        self.digest = digest
        self.kind = kind
        self.codec = codec
        self.rawLength = rawLength
        self.payload = payload
    }
}
