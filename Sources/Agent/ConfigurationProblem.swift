// SPDX-License-Identifier: Apache-2.0

/// Where a value of the configuration stands.
public enum ConfigurationOrigin: Hashable, Sendable {
    case file(path: String, line: Int, column: Int)
    /// An environment variable, by name.
    case environment(String)
    /// A flag of the command line, as it was given.
    case flag(String)
    /// Nowhere: a field that is missing.
    case absent
}

extension ConfigurationOrigin: CustomStringConvertible {
    /// `larder.yaml:3:9`, as compilers write places, or the variable or flag.
    public var description: String {
        switch self {
        case .file(let path, let line, let column): line > 0 ? "\(path):\(line):\(column)" : path
        case .environment(let name): "environment \(name)"
        case .flag(let flag): flag
        case .absent: "configuration"
        }
    }
}

/// One fault of a configuration: where, in which field, and what is wrong with it.
public struct ConfigurationProblem: Hashable, Sendable {
    public let origin: ConfigurationOrigin
    /// The field's path, `store.quota` or `volumes[1].name`; empty where the fault is in no field.
    public let field: String
    public let message: String

    public init(_ origin: ConfigurationOrigin, field: String, _ message: String) {
        self.origin = origin
        self.field = field
        self.message = message
    }
}

extension ConfigurationProblem: CustomStringConvertible {
    public var description: String { "\(origin): \(field.isEmpty ? "" : "\(field): ")\(message)" }
}
