// SPDX-License-Identifier: Apache-2.0

import Content
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import Metrics
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import ServiceLifecycle
import Storage

/// What the server knows of a call besides its message.
struct Caller: Sendable {
    let agent: AgentID
    let site: String
    let host: String
    let isLink: Bool
    /// What its certificate says; nil where agents speak plaintext.
    let authority: Authority?

    var rights: Rights { authority?.rights ?? .all }
}

/// The context of a request: the connection it came over.
struct PeerRequestContext: InitializableFromSource {
    let channel: any Channel

    init(source: ApplicationRequestContextSource) { channel = source.channel }
}

extension PeerService {
    /// Calls that announce no end of themselves, and calls that never come, cost nothing for longer than this.
    private static let idleLimit: TimeAmount = .seconds(90)

    /// How long answers under way may take when the agent ends; their receivers go on with another source.
    private static let shutdownLimit: Duration = .seconds(2)

    /// Serves until graceful shutdown or cancellation.
    func serve() async throws {
        let wait = PortWait(limit: limits.bind) { [self] in
            logger.notice("the port is taken; waiting for it", metadata: ["listen": "\(configuration.listen)"])
        }
        try await wait.run(serveOnce)
    }

    private func serveOnce() async throws {
        let application = Application(
            responder: CallbackResponder<PeerRequestContext> { request, context in
                await self.respond(to: request, context)
            },
            server: HTTPServerBuilder { responder in
                PeerChannel(
                    base: HTTP1Channel(responder: responder, configuration: .init(idleTimeout: PeerService.idleLimit)),
                    keyring: self.keyring,
                    allowed: self.configuration.allowedSites
                ) { self.noteRefusal($0) }
            },
            configuration: .init(
                address: .hostname(configuration.listen.host, port: configuration.listen.port),
                serverName: nil
            ),
            onServerRunning: { channel in
                self.state.withLockedValue { $0.port = channel.localAddress?.port }
                self.bound.set()
            },
            logger: quiet
        )
        var group = ServiceGroupConfiguration(services: [application], logger: quiet)
        group.maximumGracefulShutdownDuration = PeerService.shutdownLimit
        let services = ServiceGroup(configuration: group)
        // A cancelled server drops connections that it accepted and does not handle yet, and NIO traps on them. So
        // cancellation does not reach it: it ends it gracefully, as graceful shutdown does.
        let server = Task { try await services.run() }
        try await withTaskCancellationHandler {
            try await server.value
        } onCancel: {
            Task { await services.triggerGracefulShutdown() }
        }
    }

    /// The server's own logger: what it says of its start and of each connection is of no use to an operator.
    private var quiet: Logger {
        var logger = logger
        logger.logLevel = max(logger.logLevel, .warning)
        return logger
    }

    /// The table from paths to answers, and from errors to statuses.
    private func respond(to request: Request, _ context: PeerRequestContext) async -> Response {
        guard let caller = await caller(of: request, context) else { return Response(status: .forbidden) }
        guard request.method == .post else { return Response(status: .methodNotAllowed) }
        do {
            if request.uri.path == Wire.chunks { return try await chunks(request, caller, context.channel) }
            if request.uri.path == Wire.deltas { return try await deltas(request, caller, context.channel) }
            let body = Array(buffer: try await request.body.collect(upTo: limits.messageByteCountMax))
            if caller.isLink { metrics.link(.received, site: caller.site, class: "directory", bytes: body.count) }
            let answer = try await answer(request.uri.path, body, caller)
            guard let answer else { return Response(status: .notFound) }
            count(.sent, answer.count, site: caller.site)
            return Response(status: .ok, body: .init(byteBuffer: ByteBuffer(bytes: answer)))
        } catch let error as ContentError {
            metrics.failed(.refused)
            logger.debug("request refused", metadata: ["peer": "\(caller.agent)", "error": "\(error)"])
            return Response(status: error.code == .unsupported ? .notImplemented : .badRequest)
        } catch is NIOTooManyBytesError {
            return Response(status: .contentTooLarge)
        } catch let error as PeersError {
            switch error.code {
            case .busy: return Response(status: .serviceUnavailable)
            case .refused: return Response(status: .forbidden)
            default: return Response(status: .badGateway)
            }
        } catch {
            logger.error("request failed", metadata: ["peer": "\(caller.agent)", "error": "\(error)"])
            return Response(status: .internalServerError)
        }
    }

    /// Who calls, where it is somebody to whom we talk: of our site or of one to which we hold a link.
    private func caller(of request: Request, _ context: PeerRequestContext) async -> Caller? {
        guard let siteName = HTTPField.Name(Wire.siteHeader), let agentName = HTTPField.Name(Wire.agentHeader),
            let site = request.headers[siteName], let hex = request.headers[agentName], let id = AgentID(hex: hex)
        else { return nil }
        let isLink = site != configuration.site
        guard !isLink || configuration.links.contains(where: { $0.site == site }) else { return nil }
        let host = context.channel.remoteAddress?.ipAddress ?? ""
        guard keyring != nil else { return Caller(agent: id, site: site, host: host, isLink: isLink, authority: nil) }
        let authority = try? await context.channel.eventLoop.submit {
            try context.channel.pipeline.syncOperations.handler(type: CallerCheck.self).authority
        }.get()
        guard let authority, authority.site == site else { return nil }
        do throws(PeersError) {
            try checkOwner(of: id, authority)
        } catch {
            noteRefusal(ConnectionRefusal(host: host, message: error.message))
            return nil
        }
        return Caller(agent: id, site: site, host: host, isLink: isLink, authority: authority)
    }

    private func answer(_ path: String, _ body: [UInt8], _ caller: Caller) async throws -> [UInt8]? {
        switch path {
        case Wire.heartbeat: try answerHeartbeat(body, caller)
        case Wire.push: try await answerPush(body, caller)
        case Wire.publications: try await answerPublications(body, caller)
        case Wire.promote: try await answerPromotion(body)
        case Wire.hints: try await answerHint(body, caller)
        case Wire.leases: try await answerLease(body, caller)
        case Wire.settling: try answerSettling(body, caller)
        // What a store holds is nobody's business outside its site, nor of who may not read all of it.
        case Wire.held where !caller.isLink && caller.rights.mayReadEverything: try await answerHeld(body)
        default: nil
        }
    }

    private func answerHeartbeat(_ body: [UInt8], _ caller: Caller) throws -> [UInt8] {
        let said = try Heartbeat(decoding: body, limits: limits)
        guard said.identity.agent == caller.agent, said.identity.site == caller.site else {
            throw ContentError(.malformed, "a heartbeat speaks for another agent than its caller")
        }
        let heartbeat: Heartbeat
        do throws(PeersError) {
            heartbeat = try heard(said, caller.authority)
        } catch {
            noteRefusal(ConnectionRefusal(host: caller.host, message: error.message))
            throw error
        }
        note(heartbeat)
        replicator.update { $0.called(heartbeat, from: caller.host, now: replicator.now).actions }
        return self.heartbeat(toSite: caller.site, caller.rights).encoded()
    }

    private func answerPush(_ body: [UInt8], _ caller: Caller) async throws -> [UInt8] {
        let raw = try Envelope.open(body, max: limits.messageByteCountMax)
        let sent = try PublicationMessage(decoding: raw, limits: limits)
        let isGateway = caller.isLink || replicator.peer(caller.agent)?.identity.isGateway ?? false
        let (message, refused) = taken(sent, from: caller.agent, caller.authority, isGateway: isGateway)
        var vector = try await directory.receive(message, from: caller.agent)
        if configuration.isGateway {
            // The sender waits for those behind us too; a tenth is left for the way back.
            let wait = min(Duration.milliseconds(Int64(message.wait)), limits.acknowledge) * 9 / 10
            let deadline = ContinuousClock.now + wait
            if message.spans.contains(where: { vector[$0.key] ?? 0 < $0.value.upTo }) {
                // Just met: what was before is still on its way, and only gapless numbers can be told onward.
                _ = await replicator.catchUp(limit: wait)
                vector = replicator.mine.filter { message.spans.keys.contains($0.key) }
            }
            await replicator.forward(vector, except: caller.agent, limit: max(.zero, deadline - .now))
        }
        return RefusedNamespaces(refused).encoded()
    }

    private func answerPublications(_ body: [UInt8], _ caller: Caller) async throws -> [UInt8] {
        var reader = ByteReader(body)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown request format") }
        let after = try Vector.decode(&reader, agentsMax: limits.agentsMax)
        try reader.end()
        let message = try await gather(after, for: caller.agent, caller.rights)
        return Envelope.seal(message.encoded(), compress: caller.isLink)
    }

    private func answerPromotion(_ body: [UInt8]) async throws -> [UInt8] {
        var reader = ByteReader(body)
        let id = try reader.fixed(UInt64.self)
        guard let priority = Priority(rawValue: try reader.fixed()) else {
            throw ContentError(.malformed, "a promotion has no known priority")
        }
        pacer.promote(request: id, to: priority)
        await state.withLockedValue { $0.provider }?.promote(id, to: priority)
        return []
    }

    private func answerLease(_ body: [UInt8], _ caller: Caller) async throws -> [UInt8] {
        var reader = ByteReader(body)
        let manifest = try reader.digest()
        let seconds = try reader.fixed(UInt32.self)
        try reader.end()
        guard try await mayRead(manifest, caller.rights) else { return [0] }
        let handler = state.withLockedValue { $0.leaseHandler }
        let isGranted = await handler?(manifest, .seconds(Int64(seconds)), caller.agent) ?? false
        return [isGranted ? 1 : 0]
    }

    private func answerSettling(_ body: [UInt8], _ caller: Caller) throws -> [UInt8] {
        var notice = try SettlingNotice(decoding: body)
        notice.keys = notice.keys.filter { caller.rights.mayPublish(String($0.namespace)) }
        guard !notice.keys.isEmpty else { return [] }
        directory.noteSettling(notice.keys, settling: notice.settling)
        if configuration.isGateway, notice.hops < SettlingNotice.hopsMax {
            let onward = SettlingNotice(keys: notice.keys, settling: notice.settling, hops: notice.hops + 1)
            replicator.notify(onward, except: caller.agent)
        }
        return []
    }

    private func answerHint(_ body: [UInt8], _ caller: Caller) async throws -> [UInt8] {
        let (hint, site, hops) = try Hint.decode(body)
        guard hops < Hint.hopsMax else { throw ContentError(.malformed, "a hint was handed on too often") }
        let allowed = Hint(
            keys: PublicationCheck.told(hint.keys, to: caller.rights),
            priority: hint.priority,
            deadline: hint.deadline
        )
        guard !allowed.keys.isEmpty || hint.keys.isEmpty else {
            throw PeersError(.refused, "the caller's certificate allows none of the hinted keys' namespaces")
        }
        return HintAnswer.encode(try await deliver(allowed, to: site, hops: hops + 1))
    }
}
