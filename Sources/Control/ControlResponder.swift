// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import Objects

/// Serves the requests of one control socket: each route decodes, calls the cache once, and encodes.
struct ControlResponder: HTTPResponder {
    typealias Context = BasicRequestContext

    let cache: ObjectCache
    let scope: Scope
    let facts: AgentFacts
    let operations: Operations
    let admission: Admission
    let logger: Logger
    /// Where blocking calls of the cache run, so that no event loop or task waits for a disk.
    let pool = NIOThreadPool.singleton

    func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
        var endsConnection = false
        do {
            let route = try Route(request.method, path: request.uri.path)
            endsConnection = route.endsConnection
            let query = try Query(request.uri.query, allowed: route.parameters)
            let permit = try admission.enter()
            defer { withExtendedLifetime(permit) {} }
            var response = try await respond(to: route, query, request, permit)
            if endsConnection { response.headers[.connection] = "close" }
            return response
        } catch {
            let error = ControlError.from(error)
            logger.debug("refused", metadata: ["path": "\(request.uri.path)", "code": "\(error.code.rawValue)"])
            var response = failure(error)
            if endsConnection { response.headers[.connection] = "close" }
            return response
        }
    }

    private func respond(
        to route: Route,
        _ query: Query,
        _ request: Request,
        _ permit: Admission.Permit
    ) async throws -> Response {
        switch route {
        case .readObject(let key, let isHead):
            try scope.checkReading(key.namespace)
            return try await readObject(key, isHead: isHead, request, permit)
        case .writeObject(let key):
            try scope.checkWriting(key)
            return try await writeObject(key, query, request)
        case .removeObject(let key):
            try scope.checkWriting(key)
            try await cache.remove(key)
            return Response(status: .noContent)
        case .entry(let key):
            try scope.checkReading(key.namespace)
            return try success(EntryMessage(try await entry(key)))
        case .entries:
            return try success(try entries(query))
        case .hints:
            return try success(try await hint(request))
        case .wait(let key):
            try scope.checkReading(key.namespace)
            return try await wait(key, query, request)
        case .pins:
            return try success(try pins())
        case .pin(let key):
            try scope.checkWriting(key)
            try cache.pin(key)
            return Response(status: .noContent)
        case .unpin(let key):
            try scope.checkWriting(key)
            try cache.unpin(key)
            return Response(status: .noContent)
        case .status:
            return try success(try await status())
        case .keyStatus(let key):
            try scope.checkReading(key.namespace)
            return try success(try await status(of: key))
        case .operation(let id):
            return try success(try operation(id))
        case .doctor:
            return try success(ChecksMessage(checks: await facts.checks(scope.namespace)))
        }
    }

    /// What a key names; waits for a publication of it that is under way (DESIGN §5).
    func entry(_ key: Key) async throws -> Entry {
        guard let entry = try await cache.waitForEntry(key) else {
            if try cache.isDirectory(key.text) { throw ControlError(.isDirectory, "\(key) is a directory") }
            throw ControlError(.notFound, "\(key) does not exist")
        }
        return entry
    }

    /// A JSON answer. Keys are sorted, so that equal answers are equal texts.
    func success(_ message: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var body = ByteBuffer(bytes: try encoder.encode(message))
        body.writeString("\n")
        return Response(
            status: status,
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: body)
        )
    }

    private func failure(_ error: ControlError) -> Response {
        let message = ErrorMessage(error: ErrorMessage.Body(code: error.code.rawValue, message: error.message))
        // Three strings always encode; an answer without a body still has its status.
        return (try? success(message, status: error.status)) ?? Response(status: error.status)
    }
}
