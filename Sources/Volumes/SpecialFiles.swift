// SPDX-License-Identifier: Apache-2.0

/// What the mount's own files do; the agent says how.
public struct SpecialFiles: Sendable {
    /// The content of `.larder/status`.
    public var status: @Sendable () -> [UInt8]
    /// Takes the lines written to `.larder/hint`; throws where a line is no key.
    public var hint: @Sendable ([String]) async throws -> Void

    /// The path of what `.larder/bin/larder` runs; nil for none.
    public var program: String?

    public init(
        program: String? = nil,
        status: @escaping @Sendable () -> [UInt8],
        hint: @escaping @Sendable ([String]) async throws -> Void
    ) {
        self.program = program
        self.status = status
        self.hint = hint
    }
}
