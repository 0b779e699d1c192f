// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// A client of one control socket: what the CLI speaks through.
///
/// Every failure is a ``ControlError``: the agent's own where it answered, `unreachable` where nobody did.
public struct ControlClient: Sendable {
    /// The most bytes of a JSON answer: a page of the longest keys.
    static let answerByteCountMax = 16 << 20
    /// Connecting to a local socket takes no time; an agent that accepts no connection for so long is stuck.
    static let connectTimeout = TimeAmount.seconds(5)

    /// The socket's path.
    public let socket: String
    private let http: HTTPClient

    /// Calls `body` with a client of a socket, and closes its connections after.
    public static func with<R>(
        socket: String,
        _ body: (ControlClient) async throws -> R
    ) async throws -> R {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = connectTimeout
        configuration.connectionPool.retryConnectionEstablishment = false
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let result = try await body(ControlClient(socket: socket, http: http))
            try await http.shutdown()
            return result
        } catch {
            // The first error is the one that matters.
            try? await http.shutdown()
            throw error
        }
    }

    /// Sends a request and reads its JSON answer.
    func call<T: Decodable>(
        _ method: HTTPMethod,
        _ path: String,
        _ query: [(name: String, value: String)] = [],
        body: (some Encodable)? = Optional<String>.none,
        timeout: TimeAmount
    ) async throws -> T {
        var request = request(method, path, query)
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(body)))
        }
        let response = try await execute(request, timeout: timeout)
        return try await decoded(response)
    }

    /// Sends a request whose answer has no body.
    func call(_ method: HTTPMethod, _ path: String, timeout: TimeAmount) async throws {
        _ = try await execute(request(method, path), timeout: timeout)
    }

    func request(
        _ method: HTTPMethod,
        _ path: String,
        _ query: [(name: String, value: String)] = []
    ) -> HTTPClientRequest {
        let parameters = query.map { "\($0.name)=\(percentEncoded($0.value, keepingSlashes: false))" }
        let host = percentEncoded(socket, keepingSlashes: false)
        let suffix = parameters.isEmpty ? "" : "?" + parameters.joined(separator: "&")
        var request = HTTPClientRequest(url: "http+unix://\(host)/v1/\(percentEncoded(path))\(suffix)")
        request.method = method
        return request
    }

    /// - Throws: ``ControlError``; for an answer that is no success, the one in it.
    func execute(_ request: HTTPClientRequest, timeout: TimeAmount) async throws -> HTTPClientResponse {
        let response: HTTPClientResponse
        do {
            response = try await http.execute(request, timeout: timeout)
        } catch {
            throw failure(error)
        }
        guard (200..<300).contains(response.status.code) else { throw await refusal(response) }
        return response
    }

    func decoded<T: Decodable>(_ response: HTTPClientResponse) async throws -> T {
        do {
            let body = try await response.body.collect(upTo: ControlClient.answerByteCountMax)
            return try JSONDecoder().decode(T.self, from: Data(body.readableBytesView))
        } catch {
            throw failure(error)
        }
    }

    private func refusal(_ response: HTTPClientResponse) async -> ControlError {
        let body = try? await response.body.collect(upTo: ControlClient.answerByteCountMax)
        guard let body, let message = try? JSONDecoder().decode(ErrorMessage.self, from: Data(body.readableBytesView)),
            let code = ControlError.Code(rawValue: message.error.code)
        else {
            return ControlError(.io, "the agent answered \(response.status) at '\(socket)'")
        }
        return ControlError(code, message.error.message)
    }

    /// What an error of the connection means.
    func failure(_ error: any Error) -> any Error {
        switch error {
        case is CancellationError, is ControlError: return error
        case let error as HTTPClientError where error == .cancelled: return CancellationError()
        case let error as HTTPClientError where error == .deadlineExceeded || error == .readTimeout:
            return ControlError(.timedOut, "the agent at '\(socket)' did not answer in time")
        case let error as HTTPParserError where error == .invalidEOFState:
            return ControlError(.interrupted, "the agent at '\(socket)' closed the connection before the body's end")
        case let error as HTTPClientError where error == .remoteConnectionClosed:
            return ControlError(.interrupted, "the agent at '\(socket)' closed the connection")
        case let error as IOError where [ENOENT, ECONNREFUSED, EACCES, ENOTDIR].contains(error.errnoCode):
            return ControlError.unreachable(socket, errno: error.errnoCode)
        case is NIOConnectionError:
            return ControlError.unreachable(socket, errno: nil)
        case let error as ChannelError:
            if case .connectTimeout = error { return ControlError.unreachable(socket, errno: nil) }
            return ControlError(.interrupted, "the connection to the agent at '\(socket)' ended")
        case let error as IOError where [ECONNRESET, EPIPE].contains(error.errnoCode):
            return ControlError(.interrupted, "the connection to the agent at '\(socket)' ended")
        default:
            return ControlError(.io, "talking to the agent at '\(socket)' failed: \(error)")
        }
    }
}

extension ControlError {
    /// Nobody answers at a socket: says which, why, and how to start one who does.
    static func unreachable(_ socket: String, errno: CInt?) -> ControlError {
        switch errno {
        case EACCES:
            return ControlError(
                .unreachable,
                "this user may not connect to '\(socket)': the admin socket is root's; jobs use "
                    + "/run/larder/VOLUME/agent.sock"
            )
        case ENOENT, ENOTDIR:
            return ControlError(
                .unreachable,
                "there is no socket '\(socket)': no agent runs here; start one with 'larder agent --config FILE', or "
                    + "name its socket with --socket or LARDER_SOCKET"
            )
        default:
            return ControlError(
                .unreachable,
                "nobody answers at '\(socket)': the agent is not running; start it with 'larder agent --config FILE'"
            )
        }
    }
}
