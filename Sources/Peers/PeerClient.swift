// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Content
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// The paths and headers that both ends share.
enum Wire {
    static let heartbeat = "/v1/heartbeat"
    static let push = "/v1/push"
    static let publications = "/v1/publications"
    static let chunks = "/v1/chunks"
    static let deltas = "/v1/deltas"
    static let held = "/v1/held"
    static let promote = "/v1/promote"
    static let hints = "/v1/hints"
    static let leases = "/v1/leases"
    static let settling = "/v1/settling"
    static let siteHeader = "x-larder-site"
    static let agentHeader = "x-larder-agent"
}

/// The calling end: one connection pool for messages, one for streams, so that no message waits behind a stream.
struct PeerClient: Sendable {
    /// Connections for messages to one peer: a push, a heartbeat, a repair and a hint at a time.
    private static let messageConnections = 4
    /// Connections for chunk streams from one peer; more requests wait for one that ends.
    private static let streamConnections = 16

    private let messages: HTTPClient
    private let streams: HTTPClient
    private let site: String
    private let agent: AgentID
    private let limits: PeersConfiguration.Limits
    private let security: ClientSecurity?

    init(agent: AgentID, site: String, limits: PeersConfiguration.Limits, security: ClientSecurity? = nil) {
        self.agent = agent
        self.site = site
        self.limits = limits
        self.security = security
        let allowed = security?.allowed
        messages = PeerClient.client(PeerClient.messageConnections, read: nil, connect: limits.answer, allowed)
        streams = PeerClient.client(
            PeerClient.streamConnections,
            read: limits.silence,
            connect: limits.answer,
            allowed
        )
    }

    private static func client(
        _ connections: Int,
        read: Duration?,
        connect: Duration,
        _ allowed: Set<String>?
    ) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: TimeAmount(connect), read: read.map { TimeAmount($0) })
        )
        configuration.httpVersion = .http1Only
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        // A refused connection is an answer: the peer is down.
        configuration.connectionPool.retryConnectionEstablishment = false
        if let allowed {
            configuration.http1_1ConnectionDebugInitializer = { ReceiverCheck.add(to: $0, allowed: allowed) }
        }
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func shutdown() async throws {
        try await messages.shutdown()
        try await streams.shutdown()
    }

    /// Sends a message and returns the answer's body.
    ///
    /// - Throws: ``PeerFailure``, or `CancellationError`.
    func post(
        _ path: String,
        _ body: [UInt8],
        to address: PeerAddress,
        limit: Duration? = nil
    ) async throws -> [UInt8] {
        try await exchange(path, body, with: address, limit: limit).body
    }

    /// Sends a message and returns the answer's body, and what the certificate of who answered says.
    ///
    /// - Throws: ``PeerFailure``, or `CancellationError`.
    func exchange(
        _ path: String,
        _ body: [UInt8],
        with address: PeerAddress,
        limit: Duration? = nil
    ) async throws -> (body: [UInt8], authority: Authority?) {
        try await PeerClient.translating(address) {
            let response = try await messages.execute(
                request(path, body, address),
                deadline: .now() + TimeAmount(limit ?? limits.answer)
            )
            try PeerClient.check(response.status, address)
            let authority = try response.headers.first(name: ReceiverCheck.authority).flatMap { text in
                security == nil ? nil : try Authority(uris: text.split(separator: " ").map(String.init))
            }
            return (Array(buffer: try await response.body.collect(upTo: limits.messageByteCountMax)), authority)
        }
    }

    /// Sends a message and hands over the pieces of the answer's body as they arrive.
    func stream(
        _ path: String,
        _ body: [UInt8],
        to address: PeerAddress,
        receive: (ByteBuffer) async throws -> Void
    ) async throws {
        let response = try await PeerClient.translating(address) {
            let response = try await streams.execute(request(path, body, address), deadline: .distantFuture)
            try PeerClient.check(response.status, address)
            return response
        }
        do {
            try await PeerClient.translating(address) {
                for try await piece in response.body {
                    do { try await receive(piece) } catch { throw ReceiverFailure(error: error) }
                }
            }
        } catch let failure as ReceiverFailure {
            throw failure.error
        }
    }

    /// What the receiver of a stream threw: not the client's to translate.
    private struct ReceiverFailure: Error {
        let error: any Error
    }

    private func request(_ path: String, _ body: [UInt8], _ address: PeerAddress) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: "\(security == nil ? "http" : "https")://\(address)\(path)")
        request.method = .POST
        if let security {
            // Of the moment, so that a renewed certificate is used for connections from the next one on.
            request.tlsConfiguration = security.keyring.current.client
            let expected = security.expected(address, path)
            if let expected { request.headers.add(name: ReceiverCheck.expected, value: expected) }
        }
        request.headers.add(name: Wire.siteHeader, value: site)
        request.headers.add(name: Wire.agentHeader, value: agent.hex)
        request.body = .bytes(ByteBuffer(bytes: body))
        return request
    }

    private static func check(_ status: HTTPResponseStatus, _ address: PeerAddress) throws {
        switch status.code {
        case 200: return
        case 426:
            throw PeerFailure(
                PeersError(.refused, "\(address) speaks TLS and this agent plaintext: this agent lacks 'tls'"))
        case 503: throw PeerFailure(PeersError(.busy, "\(address) serves as much as it can"))
        case 400..<500: throw PeerFailure(PeersError(.refused, "\(address) refused a request with \(status.code)"))
        default: throw PeerFailure(PeersError(.unavailable, "\(address) answered \(status.code)"))
        }
    }

    /// The table from the client's errors to ours.
    private static func translating<R>(_ address: PeerAddress, _ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch let error as PeerFailure {
            throw error
        } catch let error as ReceiverFailure {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch let error as HTTPClientError where error == .cancelled {
            throw CancellationError()
        } catch let error as NIOTooManyBytesError {
            throw PeerFailure(PeersError(.lying, "\(address) answered with over \(error.maxBytes ?? 0) bytes"))
        } catch let error as HTTPParserError where error != .invalidEOFState {
            throw PeerFailure(PeersError(.lying, "\(address) does not speak HTTP"))
        } catch let error as PeersError {
            throw PeerFailure(error)
        } catch {
            if let message = TLSTrouble.message(of: error, at: "\(address)") {
                throw PeerFailure(PeersError(.refused, message))
            }
            throw PeerFailure(PeersError(.unavailable, "\(address): \(error)"), isRefused: isRefusal(error))
        }
    }

    /// Whether an error says that nobody is there, so that waiting for a time-out would be a waste.
    private static func isRefusal(_ error: any Error) -> Bool {
        let codes = [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH]
        if let error = error as? IOError { return codes.contains(error.errnoCode) }
        guard let error = error as? NIOConnectionError else { return false }
        return error.connectionErrors.contains { ($0.error as? IOError).map { codes.contains($0.errnoCode) } ?? false }
    }
}

/// What the client needs for TLS.
struct ClientSecurity: Sendable {
    let keyring: Keyring
    let allowed: Set<String>
    /// Whom a request to an address on a path is meant for, `SITE/AGENT`; nil: any agent of a site that is allowed.
    let expected: @Sendable (PeerAddress, String) -> String?
}

/// A failed call, and whether it failed because nobody listens.
struct PeerFailure: Error {
    let error: PeersError
    let isRefused: Bool

    init(_ error: PeersError, isRefused: Bool = false) {
        self.error = error
        self.isRefused = isRefused
    }

    /// Whether the peer did not answer at all; it may be down.
    var isSilence: Bool { error.code == .unavailable }
}

extension TimeAmount {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
