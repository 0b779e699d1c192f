// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Hummingbird
import Metrics
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Storage

extension PeerService {
    /// Answers a chunk request with a stream of frames.
    func chunks(_ request: Request, _ caller: Caller, _ channel: any Channel) async throws -> Response {
        let sizeMax = 64 + limits.digestsMax * Digest.byteCount
        let body = Array(buffer: try await request.body.collect(upTo: sizeMax))
        let wanted = try ChunkRequest(decoding: body, digestsMax: limits.digestsMax)
        let isTaken = state.withLockedValue { state in
            guard state.serving < limits.chunkRequestsMax else { return false }
            state.serving += 1
            return true
        }
        guard isTaken else {
            metrics.chunkRequestsRefused.increment()
            throw PeersError(.busy, "\(limits.chunkRequestsMax) chunk requests are being served")
        }
        metrics.chunkRequestsServed.increment()
        if caller.isLink {
            metrics.link(.received, site: caller.site, class: wanted.priority.label, bytes: body.count)
            await ChunkServing.keepOrderChangeable(channel)
        }
        let place = ServingPlace { self.state.withLockedValue { $0.serving -= 1 } }
        return Response(
            status: .ok,
            body: .init { writer in
                defer { place.leave() }
                let serving = ChunkServing(service: self, request: wanted, caller: caller)
                try await serving.run(FrameWriter(writer))
                try await writer.finish(nil)
            }
        )
    }
}

/// A place among the requests that are served; given back once, also where the answer is never written.
private final class ServingPlace: Sendable {
    private let hasLeft = NIOLockedValueBox(false)
    private let onLeave: @Sendable () -> Void

    init(_ onLeave: @escaping @Sendable () -> Void) { self.onLeave = onLeave }

    func leave() {
        let isFirst = hasLeft.withLockedValue { hasLeft in
            defer { hasLeft = true }
            return !hasLeft
        }
        if isFirst { onLeave() }
    }

    deinit { leave() }
}

/// The body of one answer.
///
/// Safety: unchecked because the server's writer is not Sendable; the one task that answers writes, one write after
/// the other, and nobody else has it.
private final class FrameWriter: @unchecked Sendable {
    private var writer: any ResponseBodyWriter

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    @concurrent
    func write(_ buffer: ByteBuffer) async throws { try await writer.write(buffer) }
}

/// One chunk request that is being answered: the chunks in the order in which they were asked for, each as soon as it
/// is here. Holds one group of chunks and one batch at a time.
public struct ChunkServing: Sendable {
    /// Chunks that are read, or asked of the provider, together: about 1 MiB.
    public static let groupCount = 16
    /// Groups that the provider works on at a time, so that a link is not idle while an answer comes back.
    static let groupsAhead = 4
    /// Unsent bytes that the kernel may hold for a link: what is in the socket can no longer change its order.
    private static let unsentMax: CInt = 128 << 10
    /// TCP_NOTSENT_LOWAT of Linux.
    private static let notSentLowWater = CInt(25)

    private let service: PeerService
    private let request: ChunkRequest
    private let caller: Caller

    init(service: PeerService, request: ChunkRequest, caller: Caller) {
        self.service = service
        self.request = request
        self.caller = caller
    }

    /// Keeps little in the socket. A bound on unsent bytes, not SO_SNDBUF: that would also bound what is in flight,
    /// and with it the rate of a long line.
    static func keepOrderChangeable(_ channel: any Channel) async {
        let option = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: notSentLowWater))
        try? await channel.setOption(option, value: .init(unsentMax)).get()
    }

    /// Chunks that wait to be sent over a link together.
    private struct Batch {
        var parts: [BatchFrame.Part] = []
        var raw: [UInt8] = []
    }

    fileprivate func run(_ writer: FrameWriter) async throws {
        if caller.isLink { service.pacer.begin(request: request.id, priority: request.priority) }
        defer { if caller.isLink { service.pacer.finish(request: request.id) } }
        let groups = stride(from: 0, to: request.chunks.count, by: ChunkServing.groupCount).map {
            Array(request.chunks[$0..<min($0 + ChunkServing.groupCount, request.chunks.count)])
        }
        let provider = request.level > .store ? service.state.withLockedValue { $0.provider } : nil
        let ready = groups.map { _ in Signal() }
        var batch = Batch()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            var begun = 0
            for (at, group) in groups.enumerated() {
                while begun < min(groups.count, at + ChunkServing.groupsAhead) {
                    let missing = groups[begun].filter { !service.store.chunks.contains($0) }
                    let signal = ready[begun]
                    begun += 1
                    guard let provider, !missing.isEmpty else {
                        signal.set()
                        continue
                    }
                    let narrowed = request.narrowed(to: missing)
                    // What could not be had is told as absent; why it could not is the provider's to report.
                    tasks.addTask {
                        try? await provider.makeAvailable(narrowed)
                        signal.set()
                    }
                }
                if !ready[at].isSet { try await flush(&batch, writer) }
                while !(await ready[at].wait(limit: service.limits.working)) {
                    try Task.checkCancellation()
                    try await send(.working, writer)
                }
                try await answer(group, &batch, writer)
            }
            try await flush(&batch, writer)
            try await send(.end, writer)
        }
    }

    /// Sends what is here of a group and says what is not.
    private func answer(
        _ group: [Digest],
        _ batch: inout Batch,
        _ writer: FrameWriter
    ) async throws {
        var absent: [Digest] = []
        if caller.isLink {
            for digest in group {
                guard let (kind, raw) = try await decoded(digest) else {
                    absent.append(digest)
                    continue
                }
                batch.parts.append(BatchFrame.Part(digest: digest, kind: kind, length: raw.count))
                batch.raw += raw
                if batch.raw.count >= BatchFrame.rawByteCount { try await flush(&batch, writer) }
            }
        } else {
            let store = service.store.chunks
            let found = try await NIOThreadPool.singleton.runIfActive {
                try group.map { digest in try store.readStored(digest) }
            }
            for (digest, chunk) in zip(group, found) {
                guard let chunk else {
                    absent.append(digest)
                    continue
                }
                let frame = StoredFrame(
                    digest: digest,
                    kind: chunk.kind,
                    codec: chunk.codec,
                    rawLength: chunk.rawLength,
                    payload: chunk.payload
                )
                try await send(.stored(frame), writer)
            }
        }
        if !absent.isEmpty {
            try await flush(&batch, writer)
            try await send(.absent(absent), writer)
        }
    }

    /// A chunk decoded, with its kind.
    private func decoded(_ digest: Digest) async throws -> (ChunkKind, [UInt8])? {
        let store = service.store.chunks
        return try await NIOThreadPool.singleton.runIfActive {
            guard let chunk = try store.readStored(digest) else { return nil }
            let raw = try [UInt8](unsafeUninitializedCapacity: chunk.rawLength) { out, used in
                let all = UnsafeMutableRawBufferPointer(out)
                let room = UnsafeMutableRawBufferPointer(rebasing: all[..<chunk.rawLength])
                try chunk.payload.withUnsafeBytes { payload in
                    try Decompressor.withShared { try $0.decompress(chunk.codec, payload, into: room) }
                }
                used = chunk.rawLength
            }
            return (chunk.kind, raw)
        }
    }

    private func flush(_ batch: inout Batch, _ writer: FrameWriter) async throws {
        guard !batch.parts.isEmpty else { return }
        let (parts, raw) = (batch.parts, batch.raw)
        batch = Batch()
        let frame = try await NIOThreadPool.singleton.runIfActive { BatchFrame(parts: parts, raw: raw) }
        try await send(.batch(frame), writer)
    }

    /// Writes a frame; over a link in quanta, each when the governor lets it.
    private func send(_ frame: Frame, _ writer: FrameWriter) async throws {
        let bytes = FrameEncoder().encode(frame)
        guard caller.isLink else {
            service.metrics.siteBytesSent.increment(by: bytes.count)
            return try await writer.write(ByteBuffer(bytes: bytes))
        }
        service.metrics.link(.sent, site: caller.site, class: request.priority.label, bytes: bytes.count)
        if case .working = frame { return try await idle(writer) }
        var at = 0
        while at < bytes.count {
            let count = min(Governor.quantum - Frame.headerByteCount, bytes.count - at)
            try await service.pacer.acquire(
                request: request.id,
                priority: request.priority,
                bytes: count,
                interval: service.limits.working
            ) {
                try await idle(writer)
            }
            try await writer.write(ByteBuffer(bytes: FrameEncoder().encode(piece: bytes[at..<at + count])))
            at += count
        }
    }

    private func idle(_ writer: FrameWriter) async throws {
        let bytes = FrameEncoder().encode(.working)
        service.pacer.charge(bytes: bytes.count)
        try await writer.write(ByteBuffer(bytes: bytes))
    }
}
