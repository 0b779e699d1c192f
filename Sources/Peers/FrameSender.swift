// SPDX-License-Identifier: Apache-2.0

import Content
import Hummingbird
import Metrics
import NIOConcurrencyHelpers
import NIOCore

extension PeerService {
    /// An answer that is a stream of frames, while there is a place for one more.
    ///
    /// - Throws: ``PeersError`` `busy`.
    func stream(
        _ id: UInt64,
        _ priority: Priority,
        _ caller: Caller,
        _ channel: any Channel,
        _ body: @escaping @Sendable (FrameSender) async throws -> Void
    ) async throws -> Response {
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
        let place = ServingPlace { self.state.withLockedValue { $0.serving -= 1 } }
        if caller.isLink { await FrameSender.keepOrderChangeable(channel) }
        return Response(
            status: .ok,
            body: .init { writer in
                defer { place.leave() }
                let sender = FrameSender(
                    service: self,
                    request: id,
                    priority: priority,
                    caller: caller,
                    writer: FrameWriter(writer)
                )
                if caller.isLink { self.pacer.begin(request: id, priority: priority) }
                defer { if caller.isLink { self.pacer.finish(request: id) } }
                try await body(sender)
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
final class FrameWriter: @unchecked Sendable {
    private var writer: any ResponseBodyWriter

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    @concurrent
    func write(_ buffer: ByteBuffer) async throws { try await writer.write(buffer) }
}

/// Writes the frames of one answer; over a link in quanta, each when the governor lets it.
struct FrameSender: Sendable {
    /// Unsent bytes that the kernel may hold for a link: what is in the socket can no longer change its order.
    private static let unsentMax: CInt = 128 << 10
    /// TCP_NOTSENT_LOWAT of Linux.
    private static let notSentLowWater = CInt(25)

    let service: PeerService
    let request: UInt64
    let priority: Priority
    let caller: Caller
    let writer: FrameWriter

    /// Keeps little in the socket. A bound on unsent bytes, not SO_SNDBUF: that would also bound what is in flight,
    /// and with it the rate of a long line.
    static func keepOrderChangeable(_ channel: any Channel) async {
        let option = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: notSentLowWater))
        try? await channel.setOption(option, value: .init(unsentMax)).get()
    }

    func send(_ frame: Frame) async throws {
        let bytes = FrameEncoder().encode(frame)
        guard caller.isLink else {
            service.metrics.siteBytesSent.increment(by: bytes.count)
            return try await writer.write(ByteBuffer(bytes: bytes))
        }
        service.metrics.link(.sent, site: caller.site, class: priority.label, bytes: bytes.count)
        if case .working = frame { return try await idle() }
        var at = 0
        while at < bytes.count {
            let count = min(Governor.quantum - Frame.headerByteCount, bytes.count - at)
            try await service.pacer.acquire(
                request: request,
                priority: priority,
                bytes: count,
                interval: service.limits.working
            ) {
                try await idle()
            }
            try await writer.write(ByteBuffer(bytes: FrameEncoder().encode(piece: bytes[at..<at + count])))
            at += count
        }
    }

    /// Does something that may take long, and tells the receiver now and then that it is still being done.
    func whileWorking<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        let done = Signal()
        return try await withThrowingTaskGroup(of: R.self) { group in
            group.addTask {
                defer { done.set() }
                return try await body()
            }
            while !(await done.wait(limit: service.limits.working)) {
                try Task.checkCancellation()
                try await send(.working)
            }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }

    private func idle() async throws {
        let bytes = FrameEncoder().encode(.working)
        service.pacer.charge(bytes: bytes.count)
        try await writer.write(ByteBuffer(bytes: bytes))
    }
}
