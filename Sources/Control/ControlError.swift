// SPDX-License-Identifier: Apache-2.0

public import Content
import HTTPTypes
import Objects

/// Why a request over a control socket failed: the same value at the agent, in the JSON and at the client.
public struct ControlError: Error, Hashable, Sendable {
    /// The reasons, by the texts that stand in the JSON. Never renamed: scripts compare them.
    public enum Code: String, Hashable, Sendable, CaseIterable {
        case notFound = "not-found"
        case exists
        case notDirectory = "not-directory"
        case isDirectory = "is-directory"
        case notEmpty = "not-empty"
        case invalidKey = "invalid-key"
        case keyTooLong = "key-too-long"
        case noSpace = "no-space"
        case tooLarge = "too-large"
        case unavailable
        case readOnly = "read-only"
        case corrupt
        case busy
        case cancelled
        case io
        case unsupported
        /// A query, header or body that the route does not take.
        case badRequest = "bad-request"
        /// Another namespace than the socket's.
        case forbidden
        /// A range that begins behind the object's end.
        case badRange = "bad-range"
        /// A path that is no route, or a method that the route does not have.
        case noRoute = "no-route"
        case timedOut = "timed-out"
        /// The connection ended before the body did.
        case interrupted
        /// Nobody answers at the socket.
        case unreachable
    }

    public let code: Code
    /// What happened, to what, and what to do, in words for a person.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension ControlError: CustomStringConvertible {
    public var description: String { message }
}

extension ControlError {
    /// The one table from the cache's reasons to the socket's.
    init(_ error: ObjectError) {
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .exists: .exists
            case .notDirectory: .notDirectory
            case .isDirectory: .isDirectory
            case .notEmpty: .notEmpty
            case .invalidKey: .invalidKey
            case .keyTooLong: .keyTooLong
            case .noSpace: .noSpace
            case .tooLarge: .tooLarge
            case .unavailable: .unavailable
            case .readOnly: .readOnly
            case .corrupt: .corrupt
            case .busy: .busy
            case .cancelled: .cancelled
            case .io: .io
            case .unsupported: .unsupported
            }
        self.init(code, error.message)
    }

    /// The key rules' words, unchanged, so that every door says the same.
    public init(_ error: ContentError) {
        let code: Code =
            switch error.code {
            case .invalidKey: .invalidKey
            case .keyTooLong: .keyTooLong
            case .malformed, .unsupported, .clockDrift: .badRequest
            }
        self.init(code, error.message)
    }

    /// Any error as this module's.
    static func from(_ error: any Error) -> ControlError {
        switch error {
        case let error as ControlError: error
        case let error as ObjectError: ControlError(error)
        case let error as ContentError: ControlError(error)
        case is CancellationError: ControlError(.cancelled, "the request was cancelled")
        default: ControlError(.io, "\(error)")
        }
    }

    /// The one table from reasons to HTTP.
    var status: HTTPResponse.Status {
        switch code {
        case .invalidKey, .keyTooLong, .badRequest, .interrupted: .badRequest
        case .forbidden, .readOnly: .forbidden
        case .notFound, .noRoute: .notFound
        case .exists, .notDirectory, .isDirectory, .notEmpty: .conflict
        case .tooLarge: .contentTooLarge
        case .badRange: .rangeNotSatisfiable
        case .corrupt, .io: .internalServerError
        case .unsupported: .notImplemented
        case .unavailable, .busy, .cancelled, .unreachable: .serviceUnavailable
        case .timedOut: .gatewayTimeout
        case .noSpace: HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage")
        }
    }
}
