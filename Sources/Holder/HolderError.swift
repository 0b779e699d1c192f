// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Why a volume could not be held or taken: what happened, to what, and what to do.
public struct HolderError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// No holder answers at the socket.
        case unreachable
        /// The holder said no.
        case refused
        /// A socket, a mount or a memory could not be made.
        case system
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// A system call failed.
    static func system(_ what: String, _ code: Code = .system) -> HolderError {
        HolderError(code, "\(what): \(String(cString: strerror(errno)))")
    }

    public var description: String { message }
}
