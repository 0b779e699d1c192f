// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Storage

/// A batch of publications with what it says of completeness: a push, and the answer to a repair request.
///
/// Format: `u8` 1, `u32` milliseconds that the sender waits, count of spans, each agent, after and upTo, count of
/// publications, publications.
struct PublicationMessage: Sendable {
    var wait: UInt32
    var spans: [AgentID: PublicationSpan]
    var publications: [Publication]

    init(wait: UInt32 = 0, spans: [AgentID: PublicationSpan], publications: [Publication]) {
        self.wait = wait
        self.spans = spans
        self.publications = publications
    }

    func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: 64 + spans.count * 32 + publications.count * 192)
        out.fixed(UInt8(1))
        out.fixed(wait)
        out.count(spans.count)
        for (agent, span) in spans {
            agent.encode(into: &out)
            out.count(span.after)
            out.count(span.upTo)
        }
        out.count(publications.count)
        for publication in publications { publication.encode(into: &out) }
        return out.bytes
    }

    init(decoding bytes: [UInt8], limits: PeersConfiguration.Limits) throws(ContentError) {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown message format") }
        wait = try reader.fixed()
        spans = [:]
        for _ in 0..<(try reader.count(max: limits.agentsMax)) {
            let agent = try AgentID(decoding: &reader)
            let after = try reader.count(max: Vector.numberMax)
            let upTo = try reader.count(max: Vector.numberMax)
            guard after <= upTo else { throw ContentError(.malformed, "a span ends before it begins") }
            spans[agent] = PublicationSpan(after: after, upTo: upTo)
        }
        publications = []
        // An agent's last publication may exceed the limit that cut the batch, so twice the limit is still honest.
        for _ in 0..<(try reader.count(max: 2 * limits.publicationsMax)) {
            let publication = try Publication(decoding: &reader)
            try PublicationMessage.check(publication, spans)
            publications.append(publication)
        }
        try reader.end()
    }

    /// An agent speaks for itself: the version of an entry names the agent that published it, within a span.
    private static func check(
        _ publication: Publication,
        _ spans: [AgentID: PublicationSpan]
    ) throws(ContentError) {
        guard let span = spans[publication.agent], publication.number > span.after, publication.number <= span.upTo
        else { throw ContentError(.malformed, "a publication lies outside its span") }
        if case .entry(let entry) = publication.change, entry.version.agent != publication.agent {
            throw ContentError(.malformed, "a publication of \(publication.agent) holds another agent's version")
        }
    }
}

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
