// SPDX-License-Identifier: Apache-2.0

/// What the store could not do: which kind of trouble, what happened to what, and what to do about it.
public struct StorageError: Error, Sendable {
    /// The kinds of trouble; every boundary has one translation table over them (errno, HTTP status, exit code).
    public enum Code: String, Sendable {
        /// Another process holds the store; the message says who.
        case locked
        /// The disk, the disk quota or the store's quota is full. The store is consistent and goes on reading.
        case noSpace
        /// Bytes on the disk are not what was written there.
        case corrupt
        /// The system refused or failed an operation; ``StorageError/errno`` says which way.
        case io
        /// A format number that this build does not know.
        case unsupported
        /// A value over a limit of the format.
        case tooLarge
    }

    public let code: Code
    /// What happened, to what, and what to do, in words for a person.
    public let message: String
    /// The number that the system gave, where the system said it.
    public let errno: Int32?

    public init(_ code: Code, _ message: String, errno: Int32? = nil) {
        self.code = code
        self.message = message
        self.errno = errno
    }
}

extension StorageError: CustomStringConvertible {
    public var description: String { message }
}
