// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content
import Metrics
import NIOCore

/// Skeletons of blocks, and which of the request's bases they speak of.
public struct ReceivedSkeletons: Sendable {
    /// For each base of the request whether the other side has it.
    public let isUsed: [Bool]
    /// In the order of the request's blocks.
    public let skeletons: [[BlockSkeleton.Item]]
}

extension PeerService {
    /// Fetches a manifest over a link, coded against those that the request names.
    ///
    /// - Parameter bases: of the request, in order.
    /// - Returns: the encoded manifest, its digest checked; nil where the source does not have it.
    /// - Throws: ``PeersError`` or `CancellationError`.
    public func fetchManifest(
        _ request: DeltaRequest, bases: [Manifest], from source: Source
    ) async throws -> [UInt8]? {
        var bytes: [UInt8]?
        try await stream(request, source, lengthMax: Manifest.encodedByteCountMax) { frame in
            guard case .message(let message) = frame, bytes == nil else { throw DeltaLie.unexpected }
            let used = bases.enumerated().map {
                message.uses($0.offset) ? $0.element : Manifest(algorithm: 0, blocks: [])
            }
            let encoded = try ManifestDelta.decode(try message.raw(), against: used).encoded()
            let found = encoded.withUnsafeBytes { Digest.sha256(of: $0) }
            guard found == request.manifest else {
                throw PeersError(.lying, "bytes that were sent as manifest \(request.manifest) are \(found)")
            }
            bytes = encoded
        }
        return bytes
    }

    /// Fetches skeletons of blocks over a link.
    ///
    /// - Parameter bases: of the request, in order.
    /// - Returns: nil where the source does not have the object.
    /// - Throws: ``PeersError`` or `CancellationError`.
    public func fetchSkeletons(
        _ request: DeltaRequest, bases: [ChunkSequence], from source: Source
    ) async throws -> ReceivedSkeletons? {
        guard case .skeletons(let ranges) = request.part else { return nil }
        let count = ranges.reduce(0) { $0 + $1.count }
        // A chunk takes at most a run's token, a length and its bits.
        let lengthMax = count * (BlockList.chunkCountMax * 24 + 8)
        var received: ReceivedSkeletons?
        try await stream(request, source, lengthMax: lengthMax) { frame in
            guard case .message(let message) = frame, received == nil else { throw DeltaLie.unexpected }
            let used = bases.enumerated().map { message.uses($0.offset) ? $0.element : ChunkSequence(chunks: []) }
            let skeletons = try BlockSkeleton.decode(try message.raw(), count: count, against: used)
            received = ReceivedSkeletons(isUsed: bases.indices.map(message.uses), skeletons: skeletons)
        }
        return received
    }

    /// Fetches chunks over a link; hands over the batches as they arrive. Nothing in them is checked yet but their form
    /// and that the request asked for their parts.
    ///
    /// - Parameter count: of chunks that the request names.
    /// - Returns: when the other side has said everything; what it left out it does not have.
    /// - Throws: ``PeersError``, `CancellationError`, or what `receive` throws: ``PeersError`` `lying` where the batch
    ///   is wrong.
    public func fetchDeltas(
        _ request: DeltaRequest, count: Int, from source: Source, receive: (DeltaFrame) async throws -> Void
    ) async throws {
        var isReceived = [Bool](repeating: false, count: count)
        // What does not shrink is as long as its chunks.
        try await stream(request, source, lengthMax: DeltaEncoder.targetByteCountMax) { frame in
            guard case .delta(let delta) = frame else { throw DeltaLie.unexpected }
            for part in delta.parts {
                guard part < count, !isReceived[part] else {
                    throw PeersError(.lying, "chunk \(part) of \(count) was sent and not asked for, or sent twice")
                }
                isReceived[part] = true
            }
            try await receive(delta)
        }
    }

    private func stream(
        _ request: DeltaRequest, _ source: Source, lengthMax: Int, receive: (Frame) async throws -> Void
    ) async throws {
        metrics.chunkRequestsMade.increment()
        do {
            let receiver = FrameReceiver(
                service: self, source: source, path: Wire.deltas, body: request.encoded(), priority: request.priority,
                lengthMax: lengthMax
            )
            try await receiver.run(receive)
        } catch let failure as PeerFailure {
            note(failure, source)
            throw failure.error
        } catch let error as ContentError {
            throw lie("\(source.name) sent what does not decode: \(error)", source)
        } catch let error as DeltaLie {
            throw lie("\(source.name) sent \(error.rawValue)", source)
        } catch let error as PeersError where error.code == .lying {
            throw lie(error.message, source)
        }
    }

    private func lie(_ message: String, _ source: Source) -> PeersError {
        let error = PeersError(.lying, message)
        note(PeerFailure(error), source)
        return error
    }
}

/// An answer of another kind than the request.
private enum DeltaLie: String, Error {
    case unexpected = "a frame that the request did not ask for, or one too many"
}

extension MessageFrame {
    func uses(_ base: Int) -> Bool { usedBases & 1 << UInt8(base) != 0 }
}
