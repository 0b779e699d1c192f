// SPDX-License-Identifier: Apache-2.0

/// How a child ended.
public struct Outcome: Sendable, Equatable {
    /// What it wrote to its standard output and error, where that was collected.
    public var output: String
    /// Its exit code; 128 + signal, as the shell has it, where a signal ended it.
    public var code: Int32
    /// The signal that ended it; 0 for none.
    public var signal: Int32
}

/// A program that could not be started.
public struct SpawnError: Error, CustomStringConvertible {
    public let program: String
    public let code: Int32

    public var description: String { "\(program) can't be started: errno \(code)" }
}
