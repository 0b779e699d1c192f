// SPDX-License-Identifier: Apache-2.0

/// Why an agent cannot start or a value of its configuration cannot be: what happened, to what, and what to do.
public struct AgentError: Error, Hashable, Sendable {
    public enum Code: String, Sendable {
        /// A text that is no size, rate, duration, percentage or address.
        case value
        /// A configuration that cannot be used; ``AgentError/problems`` has every one of its faults.
        case configuration
        /// The store cannot be opened: locked by another agent, no permission, broken.
        case store
        /// A mount or its directory cannot be had.
        case volume
        /// A socket cannot be bound.
        case address
        /// A part stopped that must not.
        case service
    }

    public let code: Code
    /// What happened, to what, and what to do, in words for a person.
    public let message: String
    /// The faults of a configuration, in the order of its lines; empty for other codes.
    public let problems: [ConfigurationProblem]
    /// What another module said, where that is the reason.
    public let cause: String?

    public init(_ code: Code, _ message: String, problems: [ConfigurationProblem] = [], cause: String? = nil) {
        self.code = code
        self.message = message
        self.problems = problems
        self.cause = cause
    }
}

extension AgentError: CustomStringConvertible {
    public var description: String {
        var lines = [message] + problems.map(\.description)
        if let cause { lines[0] += ": \(cause)" }
        return lines.joined(separator: "\n")
    }
}
