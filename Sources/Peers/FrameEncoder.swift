// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Storage

/// Frames to bytes.
public struct FrameEncoder: Sendable {
    public init() {}

    /// The bytes of a frame, header and body.
    public func encode(_ frame: Frame) -> [UInt8] {
        switch frame {
        case .stored(let stored):
            var body = ByteWriter(reserving: stored.payload.count + 48)
            header(.stored, Digest.byteCount + 6 + stored.payload.count, into: &body)
            body.digest(stored.digest)
            body.fixed(stored.kind.rawValue)
            body.fixed(stored.codec.rawValue)
            body.fixed(UInt32(stored.rawLength))
            body.raw(stored.payload)
            return body.bytes
        case .batch(let batch):
            var head = ByteWriter(reserving: 16 + batch.parts.count * 38)
            head.fixed(UInt8(0))
            head.count(batch.parts.count)
            for part in batch.parts {
                head.digest(part.digest)
                head.fixed(part.kind.rawValue)
                head.count(part.length)
            }
            head.fixed(batch.codec.rawValue)
            var out = ByteWriter(reserving: head.bytes.count + batch.payload.count + Frame.headerByteCount)
            header(.batch, head.bytes.count + batch.payload.count, into: &out)
            out.raw(head.bytes)
            out.raw(batch.payload)
            return out.bytes
        case .absent(let digests):
            var body = ByteWriter(reserving: 8 + digests.count * Digest.byteCount)
            body.count(digests.count)
            for digest in digests { body.digest(digest) }
            var out = ByteWriter(reserving: body.bytes.count + Frame.headerByteCount)
            header(.absent, body.bytes.count, into: &out)
            out.raw(body.bytes)
            return out.bytes
        case .working: return empty(.working)
        case .end: return empty(.end)
        case .message(let message): return whole(.message, message.encoded())
        case .delta(let delta): return whole(.delta, delta.encoded())
        }
    }

    /// The bytes of a piece that carries some bytes of encoded frames.
    public func encode(piece: ArraySlice<UInt8>) -> [UInt8] {
        var out = ByteWriter(reserving: piece.count + Frame.headerByteCount)
        header(.piece, piece.count, into: &out)
        out.raw(piece)
        return out.bytes
    }

    private func whole(_ kind: Frame.Kind, _ body: [UInt8]) -> [UInt8] {
        var out = ByteWriter(reserving: body.count + Frame.headerByteCount)
        header(kind, body.count, into: &out)
        out.raw(body)
        return out.bytes
    }

    private func empty(_ kind: Frame.Kind) -> [UInt8] {
        var out = ByteWriter(reserving: Frame.headerByteCount)
        header(kind, 0, into: &out)
        return out.bytes
    }

    private func header(_ kind: Frame.Kind, _ count: Int, into out: inout ByteWriter) {
        out.fixed(kind.rawValue)
        out.fixed(UInt32(count))
    }
}
