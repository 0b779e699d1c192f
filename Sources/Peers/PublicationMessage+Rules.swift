// SPDX-License-Identifier: Apache-2.0

public import Content
import Storage

// What goes into a message, and what of it is taken.

extension PublicationMessage {
    /// What is still current above the numbers, in one message of limited size.
    ///
    /// - Parameters:
    ///   - after: per publisher the number that the receiver has.
    ///   - first: the publisher whose publications go first: somebody waits for them.
    ///   - wait: how long the sender waits for those behind the receiver.
    ///   - read: an agent's current publications above a number, at most so many, and how far they are complete.
    /// - Throws: what `read` throws.
    public static func gather<Failure: Error>(
        _ after: [AgentID: UInt64],
        first: AgentID,
        wait: Duration = .zero,
        limits: PeersConfiguration.Limits,
        read: (AgentID, UInt64, Int) throws(Failure) -> (publications: [Publication], upTo: UInt64)
    ) throws(Failure) -> PublicationMessage {
        var spans: [AgentID: PublicationSpan] = [:]
        var publications: [Publication] = []
        var bytes = 0
        for publisher in after.keys.sorted(by: { ($0 == first ? 0 : 1, $0) < ($1 == first ? 0 : 1, $1) }) {
            let left = limits.publicationsMax - publications.count
            guard left > 0, bytes < limits.publicationByteCountMax, let number = after[publisher] else { break }
            let (found, end) = try read(publisher, number, left)
            var upTo = end
            for (at, publication) in found.enumerated() {
                publications.append(publication)
                bytes += publication.byteCountEstimate
                if bytes >= limits.publicationByteCountMax, at < found.count - 1 {
                    upTo = publication.number
                    break
                }
            }
            spans[publisher] = PublicationSpan(after: number, upTo: upTo)
        }
        let (seconds, attoseconds) = wait.components
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        return PublicationMessage(wait: UInt32(milliseconds), spans: spans, publications: publications)
    }

    /// The part of a message whose clocks are not too far ahead of ours, which observes them.
    ///
    /// A publisher of whom something is refused has no span: it is asked for again until the clocks agree.
    ///
    /// - Returns: also who was refused, and why.
    public func admitted(
        by clock: inout HybridClock,
        wallMilliseconds: UInt64
    ) -> (message: PublicationMessage, refused: [AgentID: ContentError]) {
        var admitted = PublicationMessage(wait: wait, spans: spans, publications: [])
        var refused: [AgentID: ContentError] = [:]
        admitted.publications.reserveCapacity(publications.count)
        for publication in publications {
            do throws(ContentError) {
                if let entry = publication.entry {
                    try clock.observe(entry.version.time, wallMilliseconds: wallMilliseconds)
                }
                admitted.publications.append(publication)
            } catch {
                refused[publication.agent] = error
                admitted.spans[publication.agent] = nil
            }
        }
        return (admitted, refused)
    }
}

extension Publication {
    /// About the bytes of its encoded form: what is fixed, the key, and an object that travels in its entry.
    var byteCountEstimate: Int {
        guard let entry else { return 64 }
        let inline = if case .inline(let bytes) = entry.body { bytes.count } else { 40 }
        return 64 + entry.key.text.utf8.count + inline
    }
}
