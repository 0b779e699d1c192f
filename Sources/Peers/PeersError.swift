// SPDX-License-Identifier: Apache-2.0

/// What could not be had from other agents: which kind of trouble, with whom, and what to do about it.
public struct PeersError: Error, Sendable {
    /// The kinds of trouble; every boundary has one translation table over them.
    public enum Code: String, Sendable {
        /// Nobody is there: refused, timed out, broke off, or the service does not run. Ask another source.
        case unavailable
        /// The other side serves as much as it can. Ask another source, or again later.
        case busy
        /// The other side's answer is not what the protocol says: garbage, too large, wrong bytes. Drop the source.
        case lying
        /// The other side refused the request as malformed or not allowed.
        case refused
        /// A configuration or an argument that cannot be used.
        case invalid
        /// Our own store failed.
        case storage
    }

    public let code: Code
    /// What happened, with whom, and what to do, in words for a person.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension PeersError: CustomStringConvertible {
    public var description: String { message }
}
