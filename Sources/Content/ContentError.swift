// SPDX-License-Identifier: Apache-2.0

/// A value of the vocabulary that could not be made: which rule it breaks, and the value.
public struct ContentError: Error, Hashable, Sendable {
    /// The rules; every boundary has one translation table over them (errno, HTTP status, exit code).
    public enum Code: String, Sendable {
        /// A key that has no namespace, an empty, `.` or `..` component, a NUL, or is not UTF-8.
        case invalidKey
        /// A key over ``Key/byteCountMax`` or a component over ``Key/componentByteCountMax``.
        case keyTooLong
        /// Encoded bytes that end early, go on too long or hold a value out of bounds.
        case malformed
        /// A format or algorithm number that this build does not know.
        case unsupported
        /// A clock more than ``HybridClock/driftMax`` ahead of ours.
        case clockDrift
    }

    public let code: Code
    /// What happened, to what, in words for a person.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension ContentError: CustomStringConvertible {
    public var description: String { message }
}
