// SPDX-License-Identifier: Apache-2.0

public import Content
import Metrics
import NIOConcurrencyHelpers
import NIOCore

extension PeerService {
    /// Fetches chunks from one source, at the source's level. Every chunk is verified against its digest before
    /// `receive` gets it; they arrive in the order of the request, and what arrived before an error is good.
    ///
    /// - Returns: what the source does not have.
    /// - Throws: ``PeersError`` (`lying`: do not ask this source again for this request), `CancellationError`, or what
    ///   `receive` throws, which ends the request.
    public func fetch(
        _ request: ChunkRequest,
        from source: Source,
        receive: (ReceivedChunk) async throws -> Void
    ) async throws -> Set<Digest> {
        let asked = ChunkRequest(
            id: request.id,
            manifest: request.manifest,
            chunks: request.chunks,
            level: min(request.level, source.level),
            priority: request.priority
        )
        guard asked.chunks.count <= limits.digestsMax else {
            throw PeersError(.invalid, "\(asked.chunks.count) chunks in one request; \(limits.digestsMax) may be")
        }
        metrics.chunkRequestsMade.increment()
        do {
            return try await stream(asked, source, receive)
        } catch let failure as PeerFailure {
            note(failure, source)
            throw failure.error
        } catch let error as ContentError {
            let failure = PeerFailure(PeersError(.lying, "\(source.name) sent what is no frame: \(error)"))
            note(failure, source)
            throw failure.error
        }
    }

    private func stream(
        _ request: ChunkRequest,
        _ source: Source,
        _ receive: (ReceivedChunk) async throws -> Void
    ) async throws -> Set<Digest> {
        var verifier = ChunkVerifier(request)
        let receiver = FrameReceiver(
            service: self, source: source, path: Wire.chunks, body: request.encoded(), priority: request.priority,
            lengthMax: request.lengthMax
        )
        try await receiver.run { frame in
            for chunk in try verified(frame, &verifier) { try await receive(chunk) }
        }
        guard verifier.wanted.isEmpty else {
            throw PeerFailure(PeersError(.lying, "\(source.name) ended and left out \(verifier.wanted.count) chunks"))
        }
        return verifier.absent
    }

    private func verified(_ frame: Frame, _ verifier: inout ChunkVerifier) throws(PeerFailure) -> [ReceivedChunk] {
        do throws(PeersError) {
            return try verifier.verify(frame)
        } catch { throw PeerFailure(error) }
    }

    func note(_ failure: PeerFailure, _ source: Source) {
        metrics.failed(failure.error.code)
        if failure.error.code == .lying { reportLie(source.agent, source.name, failure.error.message) }
        if failure.isRefused { replicator.update { $0.suspect(source.agent, isDead: true) } }
    }

    /// Tells a source that a request under way has become more urgent. A courtesy: failure changes nothing.
    public func promote(_ request: UInt64, at source: Source, to priority: Priority) async {
        var out = ByteWriter()
        out.fixed(request)
        out.fixed(priority.rawValue)
        count(.sent, out.bytes.count, site: source.site)
        _ = try? await client().post(Wire.promote, out.bytes, to: source.address)
    }

    /// Asks a source to keep an object for a time (P3), from now; for none, to keep it no longer.
    ///
    /// - Returns: whether it does; false where it does not have it.
    /// - Throws: ``PeersError``.
    public func lease(_ manifest: Digest, from source: Source, for duration: Duration) async throws -> Bool {
        var out = ByteWriter()
        out.digest(manifest)
        out.fixed(UInt32(clamping: duration.components.seconds))
        count(.sent, out.bytes.count, site: source.site)
        do {
            let answer = try await client().post(Wire.leases, out.bytes, to: source.address)
            count(.received, answer.count, site: source.site)
            return answer == [1]
        } catch let failure as PeerFailure {
            throw failure.error
        }
    }
}
