// SPDX-License-Identifier: Apache-2.0

/// What the mount's own files do; the agent says how.
public struct SpecialFiles: Sendable {
    /// The content of `.larder/status`.
    public var status: @Sendable () -> [UInt8]
    /// Takes the lines written to `.larder/hint`; throws where a line is no key.
    public var hint: @Sendable ([String]) async throws -> Void

    public init(
        status: @escaping @Sendable () -> [UInt8],
        hint: @escaping @Sendable ([String]) async throws -> Void
    ) {
        self.status = status
        self.hint = hint
    }
}
