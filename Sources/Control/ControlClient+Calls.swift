// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
public import NIOCore
import NIOHTTP1

/// An object that is being received.
public struct ObjectBody: Sendable {
    /// Bytes that will come.
    public let size: UInt64
    /// The stream lacks its end: its writer was cut off.
    public let isTorn: Bool
    /// The id to ask ``ControlClient/operation(_:)`` about.
    public let operation: String
    /// Which version of the object it is.
    public let version: String
    let response: HTTPClientResponse
    let client: ControlClient

    /// Calls `body` with each piece in turn; the agent sends no faster than it returns.
    ///
    /// - Parameter body: returns false where it wants no more.
    /// - Throws: ``ControlError``: the agent's reason where it could not send all of it; whatever `body` throws.
    public func forEach(_ body: (ByteBuffer) async throws -> Bool) async throws {
        var count: UInt64 = 0
        var iterator = response.body.makeAsyncIterator()
        while true {
            let piece: ByteBuffer?
            do {
                piece = try await iterator.next()
            } catch {
                throw await reason(error, after: count)
            }
            guard let piece else { break }
            count += UInt64(piece.readableBytes)
            guard try await body(piece) else { return }
        }
        guard count == size else {
            throw await reason(ControlError(.interrupted, "the answer ended early"), after: count)
        }
    }

    /// What the agent says of an answer that ended early; what the connection says where the agent is gone.
    private func reason(_ error: any Error, after count: UInt64) async -> any Error {
        let error = client.failure(error)
        guard let control = error as? ControlError, control.code == .interrupted || control.code == .io else {
            return error
        }
        guard let operation = try? await client.operation(operation), let said = operation.error,
            let code = ControlError.Code(rawValue: said.code)
        else { return ControlError(control.code, "\(control.message), after \(count) of \(size) bytes") }
        return ControlError(code, "\(said.message) (after \(count) of \(size) bytes)")
    }
}

extension ControlClient {
    /// Local answers take milliseconds; a publication waits a second for peers; a minute means that something hangs.
    private static let answerTimeout = TimeAmount.seconds(60)
    /// Bodies last as long as they last; the agent has the stall limit.
    private static let bodyTimeout = TimeAmount.hours(24 * 365)

    /// Writes an object from a stream of bytes. Nothing is published where `bytes` throws.
    ///
    /// - Parameters:
    ///   - length: how many bytes will come, where that is known: one that does not fit is then refused at once.
    ///   - isDurable: the answer waits until the object survives power loss.
    public func put<Bytes: AsyncSequence & Sendable>(
        _ key: String,
        bytes: Bytes,
        length: UInt64?,
        mode: UInt16?,
        modified: Timestamp?,
        isDurable: Bool
    ) async throws -> PutMessage where Bytes.Element == ByteBuffer {
        var query: [(name: String, value: String)] = []
        if isDurable { query.append(("durable", "true")) }
        if let mode { query.append(("mode", String(mode, radix: 8))) }
        if let modified { query.append(("modified", "\(modified.nanoseconds)")) }
        var request = request(.PUT, "objects/\(key)", query)
        request.body = .stream(bytes, length: length.map { .known(Int64($0)) } ?? .unknown)
        return try await decoded(try await execute(request, timeout: ControlClient.bodyTimeout))
    }

    /// Begins to read an object, or goes on at an offset.
    public func get(_ key: String, from offset: UInt64 = 0) async throws -> ObjectBody {
        var request = request(.GET, "objects/\(key)")
        if offset > 0 { request.headers.add(name: "range", value: "bytes=\(offset)-") }
        let response = try await execute(request, timeout: ControlClient.bodyTimeout)
        let size = response.headers.first(name: "content-length").flatMap { UInt64($0) }
        let operation = response.headers.first(name: "x-larder-operation")
        guard let size, let operation else {
            throw ControlError(.io, "the agent at '\(socket)' answered without a size: is it of another version?")
        }
        let isTorn = response.headers.first(name: "x-larder-torn") == "true"
        let version = response.headers.first(name: "etag") ?? ""
        return ObjectBody(
            size: size, isTorn: isTorn, operation: operation, version: version, response: response, client: self)
    }

    /// How a read went.
    public func operation(_ id: String) async throws -> OperationMessage {
        try await call(.GET, "operations/\(id)", timeout: ControlClient.answerTimeout)
    }

    public func remove(_ key: String) async throws {
        try await call(.DELETE, "objects/\(key)", timeout: ControlClient.answerTimeout)
    }

    public func entry(_ key: String) async throws -> EntryMessage {
        try await call(.GET, "entry/\(key)", timeout: ControlClient.answerTimeout)
    }

    /// One page of what lies under a prefix; `after` is the `next` of the page before.
    public func entries(prefix: String, isRecursive: Bool, after: String?) async throws -> EntriesMessage {
        var query = [(name: "prefix", value: prefix), (name: "recursive", value: "\(isRecursive)")]
        if let after { query.append(("after", after)) }
        return try await call(.GET, "entries", query, timeout: ControlClient.answerTimeout)
    }

    public func hint(_ hint: HintMessage) async throws -> HintAnswerMessage {
        try await call(.POST, "hints", body: hint, timeout: ControlClient.answerTimeout)
    }

    /// Waits until a key names something.
    ///
    /// - Throws: ``ControlError`` `timedOut` where it does not in time.
    public func wait(_ key: String, atMost limit: Duration) async throws -> EntryMessage {
        let seconds = limit / .seconds(1)
        let timeout = TimeAmount.milliseconds(Int64(seconds * 1000)) + ControlClient.answerTimeout
        return try await call(.GET, "wait/\(key)", [("timeout", "\(seconds)")], timeout: timeout)
    }

    public func pin(_ key: String) async throws {
        try await call(.PUT, "pins/\(key)", timeout: ControlClient.answerTimeout)
    }

    public func unpin(_ key: String) async throws {
        try await call(.DELETE, "pins/\(key)", timeout: ControlClient.answerTimeout)
    }

    public func pins() async throws -> PinsMessage {
        try await call(.GET, "pins", timeout: ControlClient.answerTimeout)
    }

    public func status() async throws -> StatusMessage {
        try await call(.GET, "status", timeout: ControlClient.answerTimeout)
    }

    public func status(of key: String) async throws -> KeyStatusMessage {
        try await call(.GET, "status/\(key)", timeout: ControlClient.answerTimeout)
    }

    public func checks() async throws -> ChecksMessage {
        try await call(.GET, "doctor", timeout: ControlClient.answerTimeout)
    }
}
