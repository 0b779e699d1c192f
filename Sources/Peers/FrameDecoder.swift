// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content
import Storage

/// Bytes that nobody trusts to frames. Holds at most one frame and what came after it in the same read.
public struct FrameDecoder: Sendable {
    private let lengthMax: Int
    private let rawMax: Int
    private let bodyMax: Int
    private var outer = FrameBuffer()
    /// What pieces carried.
    private var inner = FrameBuffer()

    /// - Parameter lengthMax: the most bytes of one chunk, decoded.
    public init(lengthMax: Int) {
        self.lengthMax = lengthMax
        self.rawMax = BatchFrame.rawByteCount + lengthMax
        self.bodyMax = rawMax + Frame.overheadMax
    }

    /// Bytes that were given and are not yet part of a frame.
    public var pendingByteCount: Int { outer.count + inner.count }

    public mutating func append(_ bytes: some Sequence<UInt8>) { outer.append(bytes) }

    /// The next whole frame, or nil where more bytes are needed.
    ///
    /// - Throws: ``ContentError`` on the first byte that breaks the format; the stream is of no use then.
    public mutating func next() throws(ContentError) -> Frame? {
        while true {
            if var found = try inner.next(bodyMax: bodyMax) {
                guard found.kind != .piece else { throw ContentError(.malformed, "a piece lies in a piece") }
                return try frame(found.kind, &found.body)
            }
            guard var found = try outer.next(bodyMax: bodyMax) else { return nil }
            if found.kind == .piece {
                inner.append(try found.body.raw(found.body.remaining))
                continue
            }
            guard found.kind == .working || inner.count == 0 else {
                throw ContentError(.malformed, "a frame lies between the pieces of another")
            }
            return try frame(found.kind, &found.body)
        }
    }

    private func frame(_ kind: Frame.Kind, _ body: inout ByteReader) throws(ContentError) -> Frame {
        switch kind {
        case .stored: return .stored(try stored(&body))
        case .batch: return .batch(try batch(&body))
        case .absent: return .absent(try absent(&body))
        case .working:
            try body.end()
            return .working
        case .end:
            try body.end()
            return .end
        case .message: return .message(try MessageFrame(decoding: &body, rawMax: lengthMax))
        case .delta: return .delta(try DeltaFrame(decoding: &body))
        case .piece: throw ContentError(.malformed, "a piece lies in a piece")
        }
    }

    private func stored(_ body: inout ByteReader) throws(ContentError) -> StoredFrame {
        let digest = try body.digest()
        let kind = try chunkKind(&body)
        let codec = try codec(&body)
        let rawLength = Int(try body.fixed(UInt32.self))
        guard rawLength <= lengthMax, body.remaining <= lengthMax else {
            throw ContentError(.malformed, "a chunk has \(rawLength) bytes and may have \(lengthMax)")
        }
        let payload = Array(try body.raw(body.remaining))
        return StoredFrame(digest: digest, kind: kind, codec: codec, rawLength: rawLength, payload: payload)
    }

    private func batch(_ body: inout ByteReader) throws(ContentError) -> BatchFrame {
        guard try body.fixed(UInt8.self) == 0 else {
            throw ContentError(.unsupported, "a batch has bases and this build knows none")
        }
        let count = try body.count(max: body.remaining / (Digest.byteCount + 2))
        var parts: [BatchFrame.Part] = []
        parts.reserveCapacity(count)
        var sum = 0
        for _ in 0..<count {
            let digest = try body.digest()
            let kind = try chunkKind(&body)
            let length = try body.count(max: lengthMax)
            sum += length
            guard sum <= rawMax else { throw ContentError(.malformed, "a batch has over \(rawMax) bytes") }
            parts.append(BatchFrame.Part(digest: digest, kind: kind, length: length))
        }
        let codec = try codec(&body)
        return BatchFrame(parts: parts, codec: codec, payload: Array(try body.raw(body.remaining)))
    }

    private func absent(_ body: inout ByteReader) throws(ContentError) -> [Digest] {
        let count = try body.count(max: body.remaining / Digest.byteCount)
        var digests: [Digest] = []
        digests.reserveCapacity(count)
        for _ in 0..<count { digests.append(try body.digest()) }
        try body.end()
        return digests
    }

    private func chunkKind(_ body: inout ByteReader) throws(ContentError) -> ChunkKind {
        let number = try body.fixed(UInt8.self)
        guard let kind = ChunkKind(rawValue: number) else {
            throw ContentError(.unsupported, "unknown kind \(number) of chunk")
        }
        return kind
    }

    private func codec(_ body: inout ByteReader) throws(ContentError) -> Codec {
        let number = try body.fixed(UInt8.self)
        guard let codec = Codec(rawValue: number) else {
            throw ContentError(.unsupported, "unknown codec \(number) of a chunk")
        }
        return codec
    }
}

/// Bytes with a place up to which they were read, cut into frames.
private struct FrameBuffer: Sendable {
    /// Read bytes that are kept before the rest is moved down.
    private static let slackMax = 1 << 20

    private var bytes: [UInt8] = []
    private var at = 0

    var count: Int { bytes.count - at }

    mutating func append(_ more: some Sequence<UInt8>) {
        if at == bytes.count {
            bytes.removeAll(keepingCapacity: true)
            at = 0
        } else if at > FrameBuffer.slackMax {
            bytes.removeFirst(at)
            at = 0
        }
        bytes.append(contentsOf: more)
    }

    mutating func next(bodyMax: Int) throws(ContentError) -> (kind: Frame.Kind, body: ByteReader)? {
        guard count >= Frame.headerByteCount else { return nil }
        var header = ByteReader(bytes[at..<at + Frame.headerByteCount])
        let type = try header.fixed(UInt8.self)
        guard let kind = Frame.Kind(rawValue: type) else {
            throw ContentError(.unsupported, "unknown kind \(type) of frame")
        }
        let length = Int(try header.fixed(UInt32.self))
        guard length <= bodyMax else {
            throw ContentError(.malformed, "a frame has \(length) bytes and may have \(bodyMax)")
        }
        guard count >= Frame.headerByteCount + length else { return nil }
        let start = at + Frame.headerByteCount
        at = start + length
        return (kind, ByteReader(bytes[start..<at]))
    }
}
