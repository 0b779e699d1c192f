// SPDX-License-Identifier: Apache-2.0

public import Chunking
public import Content
public import Storage

/// A piece of the answer to a chunk request.
///
/// On the wire: `u8` type, `u32` length of the body, body. Types: 1 stored, 2 batch, 3 absent, 4 working, 5 end, 7
/// message, 8 delta, and 6 piece: its body is the next bytes of a stream of frames of its own. Over links everything but
/// `working` travels in pieces of at most one quantum, so that a paced server can say in the middle of a batch that it
/// is still there.
public enum Frame: Sendable {
    /// The bytes before a body.
    public static let headerByteCount = 5
    /// The most bytes of a body besides its payload: a batch that names as many chunks as a request may.
    public static let overheadMax = 4096 * (Digest.byteCount + 6) + 64

    /// A chunk as the server's store keeps it.
    ///
    /// Body: 32-byte digest, `u8` kind, `u8` codec, `u32` raw length, payload.
    case stored(StoredFrame)
    /// Chunks compressed together.
    case batch(BatchFrame)
    /// Chunks that the server does not have and will not get. Body: count, digests.
    case absent([Digest])
    /// Nothing yet, but the server is at it. No body.
    case working
    /// Everything was said. No body.
    case end
    /// A manifest or skeletons.
    case message(MessageFrame)
    /// Chunks against bases.
    case delta(DeltaFrame)

    enum Kind: UInt8 {
        case stored = 1
        case batch = 2
        case absent = 3
        case working = 4
        case end = 5
        case piece = 6
        case message = 7
        case delta = 8
    }
}

/// One chunk as a store keeps it.
public struct StoredFrame: Sendable, Hashable {
    public let digest: Digest
    public let kind: ChunkKind
    public let codec: Codec
    public let rawLength: Int
    public let payload: [UInt8]

    public init(digest: Digest, kind: ChunkKind, codec: Codec, rawLength: Int, payload: [UInt8]) {
        self.digest = digest
        self.kind = kind
        self.codec = codec
        self.rawLength = rawLength
        self.payload = payload
    }
}

/// Chunks one after the other, compressed together: what crosses a link.
///
/// Body: `u8` count of bases (0; a later version names chunks that the receiver holds), count of chunks, for each its
/// digest, `u8` kind and length as a count, `u8` codec, payload.
public struct BatchFrame: Sendable, Hashable {
    /// zstd's level over links: where 50 Mbit/s is the limit, one core does ten times that at this level.
    public static let level: Int32 = 3
    /// Raw bytes after which a batch is closed: large enough that zstd sees likeness across chunks.
    public static let rawByteCount = 1 << 20

    public struct Part: Sendable, Hashable {
        public let digest: Digest
        public let kind: ChunkKind
        public let length: Int

        public init(digest: Digest, kind: ChunkKind, length: Int) {
            self.digest = digest
            self.kind = kind
            self.length = length
        }
    }

    public let parts: [Part]
    public let codec: Codec
    public let payload: [UInt8]

    /// Bytes of all chunks, decoded.
    public var rawLength: Int { parts.reduce(0) { $0 + $1.length } }

    public init(parts: [Part], codec: Codec, payload: [UInt8]) {
        self.parts = parts
        self.codec = codec
        self.payload = payload
    }

    /// Compresses chunks together.
    public init(parts: [Part], raw: [UInt8]) {
        var packed = [UInt8](repeating: 0, count: Compressor.bound(raw.count))
        let (codec, count) = raw.withUnsafeBytes { source in
            packed.withUnsafeMutableBytes { Compressor(level: BatchFrame.level).compress(source, into: $0) }
        }
        if codec == .plain {
            self.init(parts: parts, codec: .plain, payload: raw)
        } else {
            packed.removeLast(packed.count - count)
            self.init(parts: parts, codec: codec, payload: packed)
        }
    }
}
