// SPDX-License-Identifier: Apache-2.0

public import Content
public import Storage

/// Why a door's request could not be served: every door translates ``Code`` at one place (errno, HTTP, exit code).
public struct ObjectError: Error, Sendable {
    public enum Code: String, Sendable, CaseIterable {
        case notFound
        case exists
        case notDirectory
        case isDirectory
        case notEmpty
        case invalidKey
        case keyTooLong
        /// The quota or the disk cannot take it, whatever is evicted.
        case noSpace
        /// Over the largest object of the configuration.
        case tooLarge
        /// No agent or link that could have the bytes was reachable within the stall limit.
        case unavailable
        case readOnly
        /// Bytes were damaged here and no other copy was found.
        case corrupt
        /// A limit on concurrent work was reached; trying again later helps.
        case busy
        case cancelled
        /// The disk below the store failed.
        case io
        case unsupported
    }

    public let code: Code
    /// What happened, to what, and what to do, in words for a person.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension ObjectError: CustomStringConvertible {
    public var description: String { message }
}

extension ObjectError {
    /// The key rules' words, unchanged, so that every door says the same.
    public init(_ error: ContentError) {
        let code: Code =
            switch error.code {
            case .invalidKey: .invalidKey
            case .keyTooLong: .keyTooLong
            case .malformed: .corrupt
            case .unsupported: .unsupported
            case .clockDrift: .io
            }
        self.init(code, error.message)
    }

    public init(_ error: StorageError) {
        let code: Code =
            switch error.code {
            case .noSpace: .noSpace
            case .tooLarge: .tooLarge
            case .corrupt: .corrupt
            case .unsupported: .unsupported
            case .locked: .busy
            case .io: .io
            }
        self.init(code, error.message)
    }

    /// Any error as this module's: cancellation stays recognisable, the rest keeps its words.
    static func from(_ error: any Error) -> ObjectError {
        switch error {
        case let error as ObjectError: error
        case let error as StorageError: ObjectError(error)
        case let error as ContentError: ObjectError(error)
        case is CancellationError: ObjectError(.cancelled, "the request was cancelled")
        default: ObjectError(.io, "\(error)")
        }
    }
}
