// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A program that measures something about files that its caller names, and prints one JSON object.
public struct Probe {
    /// Its name, and what it is called with.
    private let name: String
    private let usage: String
    private let arguments: [String]

    public init(_ name: String, usage: String) {
        self.name = name
        self.usage = usage
        arguments = Array(CommandLine.arguments.dropFirst())
    }

    /// The argument after a flag.
    public func value(of flag: String) -> String? {
        guard let at = arguments.firstIndex(of: flag), at + 1 < arguments.count else { return nil }
        return arguments[at + 1]
    }

    /// The argument after a flag that must be there.
    ///
    /// - Throws: ``ProbeError``.
    public func required(_ flag: String) throws -> String {
        guard let value = value(of: flag) else { throw ProbeError("usage: \(name) \(usage)") }
        return value
    }

    /// Prints what `measure` says; ends the program with 1 where it throws.
    public func run(_ measure: () throws -> [String: Any]) {
        do {
            let data = try JSONSerialization.data(
                withJSONObject: try measure(), options: [.prettyPrinted, .sortedKeys])
            FileHandle.standardOutput.write(data + Data("\n".utf8))
        } catch {
            FileHandle.standardError.write(Data("\(name): \(error)\n".utf8))
            exit(1)
        }
    }
}

/// Why a probe ended without an answer.
public struct ProbeError: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
