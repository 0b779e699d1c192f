// SPDX-License-Identifier: Apache-2.0

/// Bytes that could not be turned back into a chunk: what is wrong with them.
public struct ChunkingError: Error, Hashable, Sendable {
    /// The ways in which stored bytes can be wrong; every boundary has one translation table over them.
    public enum Code: String, Sendable {
        /// The bytes are no output of their codec, or have another length than was said.
        case malformed
    }

    public let code: Code
    /// What happened, to what, in words for a person.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension ChunkingError: CustomStringConvertible {
    public var description: String { message }
}
