// SPDX-License-Identifier: Apache-2.0

public import Content

/// What the socket tells about the agent as a whole and the cache does not know: the composition gives it.
public struct AgentFacts: Sendable {
    /// The agent's state, whole; the socket leaves out what is not its volume's business.
    public var status: @Sendable () async throws -> StatusMessage
    /// What `larder doctor` looks at from within the agent; of one namespace, or of everything where it is nil.
    public var checks: @Sendable (_ namespace: String?) async -> [CheckMessage]
    /// The name of an agent, `site/name`, where it is known.
    public var name: @Sendable (AgentID) -> String?
    /// All namespaces that this agent shows.
    public var namespaces: [String]

    public init(
        namespaces: [String],
        status: @escaping @Sendable () async throws -> StatusMessage,
        checks: @escaping @Sendable (_ namespace: String?) async -> [CheckMessage],
        name: @escaping @Sendable (AgentID) -> String?
    ) {
        self.namespaces = namespaces
        self.status = status
        self.checks = checks
        self.name = name
    }
}
