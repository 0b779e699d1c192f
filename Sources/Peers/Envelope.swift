// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content

/// A body of a message: plain between peers, compressed over a link.
///
/// Format: `u8` codec, `u32` raw length, payload.
enum Envelope {
    /// Small messages gain nothing.
    static let compressedFrom = 512

    static func seal(_ raw: [UInt8], compress: Bool) -> [UInt8] {
        var out = ByteWriter(reserving: raw.count + 5)
        if compress, raw.count >= compressedFrom {
            var packed = [UInt8](repeating: 0, count: Compressor.bound(raw.count))
            let (codec, count) = raw.withUnsafeBytes { source in
                packed.withUnsafeMutableBytes { Compressor(level: BatchFrame.level).compress(source, into: $0) }
            }
            if codec == .zstd {
                out.fixed(Codec.zstd.rawValue)
                out.fixed(UInt32(raw.count))
                out.raw(packed.prefix(count))
                return out.bytes
            }
        }
        out.fixed(Codec.plain.rawValue)
        out.fixed(UInt32(raw.count))
        out.raw(raw)
        return out.bytes
    }

    static func open(_ bytes: [UInt8], max: Int) throws -> [UInt8] {
        var reader = ByteReader(bytes)
        guard let codec = Codec(rawValue: try reader.fixed()) else {
            throw ContentError(.unsupported, "unknown codec of a message")
        }
        let count = Int(try reader.fixed(UInt32.self))
        guard count <= max else { throw ContentError(.malformed, "a message has \(count) bytes and may have \(max)") }
        let payload = Array(try reader.raw(reader.remaining))
        if codec == .plain {
            guard payload.count == count else { throw ContentError(.malformed, "a message is not as long as it says") }
            return payload
        }
        var raw = [UInt8](repeating: 0, count: count)
        try raw.withUnsafeMutableBytes { out in
            try payload.withUnsafeBytes { source in
                try Decompressor.withShared { try $0.decompress(codec, source, into: out) }
            }
        }
        return raw
    }
}
