// SPDX-License-Identifier: Apache-2.0

/// What stands over the configuration file: `LARDER_*` variables, and over these `--set PATH=VALUE`.
public struct ConfigurationOverrides: Sendable {
    /// A value given on the command line.
    public struct Flag: Hashable, Sendable {
        /// The field, `store.quota`.
        public let path: String
        public let value: String

        public init(path: String, value: String) {
            self.path = path
            self.value = value
        }

        /// A flag from `PATH=VALUE`, or nil where there is no `=`.
        public init?(parsing text: String) {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else { return nil }
            self.init(path: String(text[..<equals]), value: String(text[text.index(after: equals)...]))
        }

        var origin: ConfigurationOrigin { .flag("--set \(path)=\(value)") }
    }

    /// Variables by name; those that do not begin with `LARDER_` are of no interest.
    public let environment: [String: String]
    /// In order; the last of a field wins.
    public let flags: [Flag]

    public init(environment: [String: String] = [:], flags: [Flag] = []) {
        self.environment = environment.filter { $0.key.hasPrefix("LARDER_") }
        self.flags = flags
    }

    /// The variable of a field: `store.freeFraction` is `LARDER_STORE_FREE_FRACTION`.
    public static func variable(of path: String) -> String {
        var name = "LARDER_"
        for character in path {
            if character == "." {
                name += "_"
            } else {
                if character.isUppercase { name += "_" }
                name += character.uppercased()
            }
        }
        return name
    }

    /// What stands over a field. An empty variable counts as none: that is how Kubernetes writes an optional value.
    func value(of path: String) -> (text: String, origin: ConfigurationOrigin)? {
        if let flag = flags.last(where: { $0.path == path }) { return (flag.value, flag.origin) }
        let variable = ConfigurationOverrides.variable(of: path)
        guard let text = environment[variable], !text.isEmpty else { return nil }
        return (text, .environment(variable))
    }
}
