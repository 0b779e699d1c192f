// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1

/// The end of a connection that we made: nothing is sent before the certificate of the other end is known to be that of
/// whom it is meant for, and what that certificate says goes with every answer.
///
/// The client's connections belong to its pool, and requests say only at which address they are aimed. So a request
/// carries whom it expects in a header that is taken off here, and an answer gets a header that nobody else can set.
final class ReceiverCheck: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = HTTPClientResponsePart
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    /// Of a request: `SITE/AGENT`, with `*` for any agent.
    static let expected = "x-larder-expected"
    /// Of an answer: the URIs of the certificate, parted by spaces.
    static let authority = "x-larder-authority"

    private let authority: Result<Authority, PeersError>
    /// Why nothing is sent any more.
    private var failure: PeerFailure?

    private init(_ authority: Result<Authority, PeersError>) { self.authority = authority }

    /// Puts a check where the client's own handler has no bytes of its own to see: behind its decoder.
    static func add(to channel: any Channel, allowed: Set<String>) -> EventLoopFuture<Void> {
        channel.eventLoop.submit {
            let pipeline = channel.pipeline.syncOperations
            let authority: Result<Authority, PeersError>
            do throws(PeersError) {
                authority = .success(try Authority.ofOtherEnd(pipeline, allowed: allowed))
            } catch { authority = .failure(error) }
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
            try pipeline.addHandler(ReceiverCheck(authority), position: .after(decoder))
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if let failure {
            promise?.fail(failure)
            return
        }
        guard case .head(var head) = unwrapOutboundIn(data) else { return context.write(data, promise: promise) }
        let expected = head.headers.first(name: ReceiverCheck.expected)
        head.headers.remove(name: ReceiverCheck.expected)
        do throws(PeersError) {
            try check(expected)
        } catch {
            let failure = PeerFailure(error)
            self.failure = failure
            promise?.fail(failure)
            // Not from within the write: the client is in the middle of noting that it was done.
            context.eventLoop.assumeIsolated().execute {
                context.fireErrorCaught(failure)
                context.close(promise: nil)
            }
            return
        }
        context.write(wrapOutboundOut(.head(head)), promise: promise)
    }

    private func check(_ expected: String?) throws(PeersError) {
        let authority = try authority.get()
        guard let parts = expected?.split(separator: "/", maxSplits: 1), parts.count == 2 else { return }
        let isMeant =
            authority.site == parts[0]
            && (parts[1] == Authority.everyAgent
                || authority.agent == Authority.everyAgent || authority.agent == parts[1])
        guard isMeant else {
            throw PeersError(.refused, "its certificate is that of \(authority); meant was \(parts[0])/\(parts[1])")
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data) else { return context.fireChannelRead(data) }
        head.headers.remove(name: ReceiverCheck.authority)
        if case .success(let authority) = authority {
            head.headers.add(name: ReceiverCheck.authority, value: authority.uris.joined(separator: " "))
        }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }
}
