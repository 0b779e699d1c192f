// SPDX-License-Identifier: Apache-2.0

import Content
import Metrics
import NIOCore

/// One request that is answered with frames: the answer's other end.
struct FrameReceiver: Sendable {
    let service: PeerService
    let source: Source
    /// Where it is asked.
    let path: String
    let body: [UInt8]
    let priority: Priority
    /// The most bytes of one chunk, or batch, of the answer.
    let lengthMax: Int

    /// Asks, and hands over the frames of the answer as they arrive; those that only end it or keep it alive are not.
    ///
    /// - Throws: ``PeerFailure``, ``ContentError`` where the answer is no frames, `CancellationError`, or what `receive`
    ///   throws, which ends the request.
    func run(_ receive: (Frame) async throws -> Void) async throws {
        var decoder = FrameDecoder(lengthMax: lengthMax)
        var isEnded = false
        service.count(.sent, body.count, site: source.site)
        try await service.client().stream(path, body, to: source.address) { piece in
            note(piece.readableBytes)
            decoder.append(piece.readableBytesView)
            while let frame = try decoder.next() {
                guard !isEnded else { throw ContentError(.malformed, "a frame follows the end") }
                switch frame {
                case .end: isEnded = true
                case .working: continue
                default: try await receive(frame)
                }
            }
        }
        guard isEnded, decoder.pendingByteCount == 0 else {
            throw PeerFailure(PeersError(.unavailable, "\(source.name) broke off in the middle of an answer"))
        }
    }

    private func note(_ byteCount: Int) {
        let metrics = service.metrics
        if source.site == service.configuration.site {
            metrics.siteBytesReceived.increment(by: byteCount)
        } else {
            metrics.link(.received, site: source.site, class: priority.label, bytes: byteCount)
        }
    }
}
