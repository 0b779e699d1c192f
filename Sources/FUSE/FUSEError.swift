// SPDX-License-Identifier: Apache-2.0

/// A mount that could not be made or taken away: what happened, to what, and what to do.
public struct FUSEError: Error, Hashable, Sendable {
    public enum Code: String, Sendable {
        /// There is no /dev/fuse.
        case deviceMissing
        /// /dev/fuse or mount(2) is refused to this process.
        case notPermitted
        /// The mount point is missing, not a directory, or not an absolute path.
        case mountPoint
        /// The mount point carries a mount whose server is gone.
        case stale
        /// The kernel refused the mount or did not agree on the protocol.
        case mount
        /// A thread could not be started.
        case threads
        /// A mount could not be detached.
        case unmount
        /// The holder's memory cannot be used.
        case memory
        /// The mount was made by a program that agreed with the kernel on other things than this one does.
        case profile
        /// The session was mounted before; a session is for one mount.
        case alreadyMounted
    }

    public let code: Code
    /// What happened, to what, in words for a person.
    public let message: String
    /// The system's reason.
    public let cause: Errno?

    public init(_ code: Code, _ message: String, cause: Errno? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }
}

extension FUSEError: CustomStringConvertible {
    public var description: String {
        guard let cause else { return message }
        return "\(message) (\(cause))"
    }
}
