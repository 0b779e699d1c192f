// SPDX-License-Identifier: Apache-2.0

import HummingbirdCore
import Logging
import NIOCore
import NIOSSL

/// Why a connection from another agent was refused before it could ask anything.
struct ConnectionRefusal: Sendable, Hashable {
    let host: String
    let message: String
}

/// A connection that another agent makes to us: TLS where this agent has credentials, the first byte decides whether
/// the other end sees it the same way.
struct PeerChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let base: HTTP1Channel
    /// Nil: plaintext.
    let keyring: Keyring?
    let allowed: Set<String>
    let report: @Sendable (ConnectionRefusal) -> Void

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(FirstByte(expectsTLS: keyring != nil, report: report))
            if let keyring {
                // Asked for at each connection, so that a renewed certificate is used from the next one on.
                try pipeline.addHandler(NIOSSLServerHandler(context: keyring.current.server))
                try pipeline.addHandler(CallerCheck(allowed: allowed, report: report))
            }
        }.flatMap { base.setup(channel: channel, logger: logger) }
    }

    func handle(value: Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}

/// Tells a caller that begins in the other way, TLS or plaintext, which end lacks what.
final class FirstByte: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A handshake record of TLS.
    private static let handshake: UInt8 = 22
    /// How long who was refused may take to hang up.
    private static let patience: TimeAmount = .seconds(1)

    private let expectsTLS: Bool
    private let report: @Sendable (ConnectionRefusal) -> Void
    private var isRefused = false

    init(expectsTLS: Bool, report: @escaping @Sendable (ConnectionRefusal) -> Void) {
        self.expectsTLS = expectsTLS
        self.report = report
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        guard !isRefused, let first = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) else { return }
        guard (first == FirstByte.handshake) == expectsTLS else {
            isRefused = true
            let host = context.remoteAddress?.ipAddress ?? ""
            report(
                ConnectionRefusal(
                    host: host,
                    message: expectsTLS
                        ? "it speaks plaintext and this agent TLS: that agent lacks 'tls'"
                        : "it speaks TLS and this agent plaintext: this agent lacks 'tls'"
                )
            )
            // In plain words either way: to TLS they are no record, which is how the other end can tell.
            let answer = "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            let closing = context.eventLoop.makePromise(of: Void.self)
            closing.futureResult.assumeIsolated().whenComplete { _ in
                // Closed at once, what still comes would be answered with a reset, and that may overtake the answer.
                context.close(mode: .output, promise: nil)
                context.eventLoop.assumeIsolated().scheduleTask(in: FirstByte.patience) { context.close(promise: nil) }
            }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: closing)
            return
        }
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}

/// Reads the certificate of a caller when its first bytes have come through, and refuses sites that are not allowed.
final class CallerCheck: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// What the certificate says; nil until something came.
    private(set) var authority: Authority?
    private let allowed: Set<String>
    private let report: @Sendable (ConnectionRefusal) -> Void
    private var isRefused = false

    init(allowed: Set<String>, report: @escaping @Sendable (ConnectionRefusal) -> Void) {
        self.allowed = allowed
        self.report = report
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isRefused else { return }
        if authority == nil {
            do throws(PeersError) {
                authority = try Authority.ofOtherEnd(context.pipeline.syncOperations, allowed: allowed)
            } catch {
                refuse(context, error.message)
                return context.close(promise: nil)
            }
        }
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let message = TLSTrouble.message(of: error, at: "it") { refuse(context, message) }
        context.fireErrorCaught(error)
    }

    private func refuse(_ context: ChannelHandlerContext, _ message: String) {
        isRefused = true
        report(ConnectionRefusal(host: context.remoteAddress?.ipAddress ?? "", message: message))
    }
}

extension Authority {
    /// What the certificate of a connection's other end says.
    ///
    /// - Throws: ``PeersError`` `refused` where it says nothing that can be used, or names a site that is not allowed.
    static func ofOtherEnd(
        _ pipeline: ChannelPipeline.SynchronousOperations,
        allowed: Set<String>
    ) throws(PeersError) -> Authority {
        let facts: CertificateFacts
        do {
            guard let certificate = try pipeline.nioSSL_peerCertificate() else {
                throw PeersError(.refused, "it showed no certificate")
            }
            facts = try CertificateFacts(der: certificate.toDERBytes())
        } catch let error as PeersError {
            throw error
        } catch { throw PeersError(.refused, "its certificate cannot be read: \(error)") }
        guard let authority = facts.authority else {
            throw PeersError(.refused, facts.problem ?? "its certificate is that of an authority, not of an agent")
        }
        guard allowed.contains(authority.site) else {
            throw PeersError(
                .refused,
                "its certificate is that of \(authority), and site '\(authority.site)' is not allowed here: 'allow' names "
                    + "those that are (\(allowed.sorted().joined(separator: ", ")))"
            )
        }
        return authority
    }
}
