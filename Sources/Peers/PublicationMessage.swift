// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content
public import Storage

/// A batch of publications with what it says of completeness: a push, and the answer to a repair request.
///
/// Format: `u8` 1, `u32` milliseconds that the sender waits, count of spans, each agent, after and upTo, count of
/// publications, publications.
public struct PublicationMessage: Sendable {
    /// Milliseconds that the sender waits for those behind the receiver.
    public var wait: UInt32
    /// Per publisher the numbers among which everything that is still current is here.
    public var spans: [AgentID: PublicationSpan]
    public var publications: [Publication]

    public init(wait: UInt32 = 0, spans: [AgentID: PublicationSpan], publications: [Publication]) {
        self.wait = wait
        self.spans = spans
        self.publications = publications
    }

    /// Takes out what an agent published above a number.
    mutating func clip(_ agent: AgentID, at number: UInt64) {
        guard let span = spans[agent], span.upTo > number else { return }
        spans[agent] = PublicationSpan(after: min(span.after, number), upTo: number)
        publications.removeAll { $0.agent == agent && $0.number > number }
    }

    /// The bytes that cross the network, before compression.
    public func encoded() -> [UInt8] {
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

    /// - Throws: ``ContentError`` `malformed` or `unsupported`.
    public init(decoding bytes: [UInt8], limits: PeersConfiguration.Limits) throws(ContentError) {
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
        // An agent's last publication may exceed the limit that cut the batch, and holdings go along with each.
        let countMax = (2 + PublicationCheck.holdingsAlongMax) * limits.publicationsMax
        for _ in 0..<(try reader.count(max: countMax)) {
            let publication = try Publication(decoding: &reader)
            try PublicationMessage.check(publication, spans)
            publications.append(publication)
        }
        try reader.end()
    }

    /// An agent speaks for itself: the version of an entry names the agent that published it, within a span. Holdings
    /// may lie outside: they go along with the entry of their object.
    private static func check(
        _ publication: Publication,
        _ spans: [AgentID: PublicationSpan]
    ) throws(ContentError) {
        guard case .entry(let entry) = publication.change else { return }
        guard let span = spans[publication.agent], publication.number > span.after, publication.number <= span.upTo
        else { throw ContentError(.malformed, "a publication lies outside its span") }
        if entry.version.agent != publication.agent {
            throw ContentError(.malformed, "a publication of \(publication.agent) holds another agent's version")
        }
    }
}
