// SPDX-License-Identifier: Apache-2.0

import Content
import HTTPTypes

/// What a request asks for, from its method and path.
///
/// Not Hummingbird's router: it drops empty components, and a key with one has to be refused with the key rules' words.
enum Route: Hashable {
    case readObject(Key, isHead: Bool)
    case writeObject(Key)
    case removeObject(Key)
    case entry(Key)
    case entries
    case hints
    case wait(Key)
    case pins
    case pin(Key)
    case unpin(Key)
    case status
    case keyStatus(Key)
    case operation(String)
    case doctor

    /// - Throws: ``ControlError`` `noRoute`, or `invalidKey` and `keyTooLong` with the key rules' words.
    init(_ method: HTTPRequest.Method, path: String) throws(ControlError) {
        guard path.hasPrefix("/v1/") else {
            throw ControlError(.noRoute, "there is no '\(path)': the interface is under /v1")
        }
        let rest = path.dropFirst("/v1/".count)
        let slash = rest.firstIndex(of: "/")
        let name = rest[..<(slash ?? rest.endIndex)]
        let argument = slash.map { rest[rest.index(after: $0)...] }
        switch (name, method, argument) {
        case ("objects", .get, let key?): self = .readObject(try Route.key(key), isHead: false)
        case ("objects", .head, let key?): self = .readObject(try Route.key(key), isHead: true)
        case ("objects", .put, let key?): self = .writeObject(try Route.key(key))
        case ("objects", .delete, let key?): self = .removeObject(try Route.key(key))
        case ("entry", .get, let key?): self = .entry(try Route.key(key))
        case ("entries", .get, nil): self = .entries
        case ("hints", .post, nil): self = .hints
        case ("wait", .get, let key?): self = .wait(try Route.key(key))
        case ("pins", .get, nil): self = .pins
        case ("pins", .put, let key?): self = .pin(try Route.key(key))
        case ("pins", .delete, let key?): self = .unpin(try Route.key(key))
        case ("status", .get, nil): self = .status
        case ("status", .get, let key?): self = .keyStatus(try Route.key(key))
        case ("operations", .get, let id?): self = .operation(String(id))
        case ("doctor", .get, nil): self = .doctor
        default:
            throw ControlError(.noRoute, "there is no \(method) \(path); openapi.yaml lists what there is")
        }
    }

    /// The query parameters that the route takes.
    var parameters: Set<String> {
        switch self {
        case .writeObject: ["durable", "mode", "modified"]
        case .entries: ["prefix", "after", "limit", "recursive"]
        case .wait: ["timeout"]
        case .readObject, .removeObject, .entry, .hints, .pins, .pin, .unpin, .status, .keyStatus, .operation, .doctor:
            []
        }
    }

    /// The connection is over after the answer: watching it for the client's going away uses it up.
    var endsConnection: Bool {
        if case .wait = self { true } else { false }
    }

    private static func key(_ encoded: Substring) throws(ControlError) -> Key {
        guard let text = percentDecoded(encoded) else {
            throw ControlError(.invalidKey, "the key is not percent-encoded UTF-8: '\(encoded.prefix(80))'")
        }
        do throws(ContentError) {
            return try Key(text)
        } catch {
            throw ControlError(error)
        }
    }
}
