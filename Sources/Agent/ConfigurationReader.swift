// SPDX-License-Identifier: Apache-2.0

import Yams

/// Walks a configuration file, puts what stands over it in its place, and collects every fault that it meets.
///
/// Each field is asked for by name once. What was asked for is what there is: a field of the file, a flag or a variable
/// that nobody asked for is unknown. So there is no second table of names that could differ from the reading.
struct ConfigurationReader {
    /// A node and where it comes from.
    struct Value {
        let node: Node
        let path: String
        /// Nil for nodes of the file: their own marks say it better.
        let fixedOrigin: ConfigurationOrigin?
        let file: String

        var origin: ConfigurationOrigin {
            fixedOrigin ?? .file(path: file, line: node.mark?.line ?? 0, column: node.mark?.column ?? 0)
        }

        /// `key:` with nothing behind it, `~` and `null` mean the default.
        var isNull: Bool {
            guard case .scalar(let scalar) = node else { return false }
            return (scalar.style == .plain || scalar.style == .any) && ["", "~", "null"].contains(scalar.string)
        }

        var kind: String {
            switch node {
            case .scalar(let scalar): "'\(scalar.string)'"
            case .mapping: "a mapping"
            case .sequence: "a list"
            case .alias: "an alias"
            }
        }
    }

    /// A mapping under reading.
    struct Section {
        let path: String
        fileprivate let fields: [(name: String, key: Node, value: Node)]
        fileprivate let fixedOrigin: ConfigurationOrigin?
        fileprivate let file: String
        fileprivate var asked: [String] = []
        /// Lists have no names for their elements, so nothing can stand over a field within one.
        fileprivate let isWithinList: Bool

        func path(of name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

        func origin(of name: String) -> ConfigurationOrigin? {
            fields.first { $0.name == name }.map { field in
                fixedOrigin
                    ?? .file(path: file, line: field.value.mark?.line ?? 0, column: field.value.mark?.column ?? 0)
            }
        }
    }

    let file: String
    let overrides: ConfigurationOverrides
    private(set) var problems: [ConfigurationProblem] = []
    /// Paths of all fields that something may stand over.
    private(set) var known: [String] = []

    init(file: String, overrides: ConfigurationOverrides) {
        self.file = file
        self.overrides = overrides
    }

    mutating func report(_ origin: ConfigurationOrigin, _ field: String, _ message: String) {
        problems.append(ConfigurationProblem(origin, field: field, message))
    }

    /// The whole file's mapping; an empty file is an empty mapping.
    mutating func root(yaml: String) -> Section {
        do {
            guard let node = try Yams.compose(yaml: yaml) else { return section(of: nil, path: "") }
            return section(of: Value(node: node, path: "", fixedOrigin: nil, file: file), path: "")
        } catch {
            let (line, column, message) = describe(error)
            report(.file(path: file, line: line, column: column), "", message)
            return section(of: nil, path: "")
        }
    }

    /// A field's value, what stands over it first; nil where there is none, or only null.
    private mutating func take(_ name: String, of section: inout Section, isText: Bool) -> Value? {
        section.asked.append(name)
        let path = section.path(of: name)
        if !section.isWithinList {
            known.append(path)
            if let (text, origin) = overrides.value(of: path) {
                guard let node = isText ? Node(text) : parse(text, origin: origin, path: path) else { return nil }
                let value = Value(node: node, path: path, fixedOrigin: origin, file: file)
                return value.isNull ? nil : value
            }
        }
        guard let field = section.fields.first(where: { $0.name == name }) else { return nil }
        let value = Value(node: field.value, path: path, fixedOrigin: section.fixedOrigin, file: file)
        return value.isNull ? nil : value
    }

    private mutating func parse(_ text: String, origin: ConfigurationOrigin, path: String) -> Node? {
        do {
            return try Yams.compose(yaml: text) ?? Node("")
        } catch {
            report(origin, path, "this is not YAML: \(describe(error).message)")
            return nil
        }
    }

    /// The text of a field, parsed; nil where the field is absent or wrong, and then the fault is collected.
    mutating func value<T>(
        _ name: String,
        of section: inout Section,
        _ parse: (String) throws(AgentError) -> T
    ) -> T? {
        guard let value = take(name, of: &section, isText: true) else { return nil }
        return text(of: value, parse)
    }

    mutating func text<T>(of value: Value, _ parse: (String) throws(AgentError) -> T) -> T? {
        guard case .scalar(let scalar) = value.node else {
            report(value.origin, value.path, "one value belongs here and this is \(value.kind)")
            return nil
        }
        do throws(AgentError) {
            return try parse(scalar.string)
        } catch {
            report(value.origin, value.path, error.message)
            return nil
        }
    }

    /// A mapping within a mapping; an absent one is empty.
    mutating func section(_ name: String, of parent: inout Section) -> Section {
        parent.asked.append(name)
        let path = parent.path(of: name)
        guard let field = parent.fields.first(where: { $0.name == name }) else { return section(of: nil, path: path) }
        let value = Value(node: field.value, path: path, fixedOrigin: parent.fixedOrigin, file: file)
        return section(of: value.isNull ? nil : value, path: path)
    }

    /// The elements of a list; nil where the field is absent.
    mutating func list(_ name: String, of section: inout Section) -> [Value]? {
        guard let value = take(name, of: &section, isText: false) else { return nil }
        guard case .sequence(let nodes) = value.node else {
            report(value.origin, value.path, "a list belongs here and this is \(value.kind)")
            return nil
        }
        return nodes.enumerated().map { index, node in
            Value(node: node, path: "\(value.path)[\(index)]", fixedOrigin: value.fixedOrigin, file: file)
        }
    }

    /// A mapping that is an element of a list.
    mutating func section(of value: Value) -> Section { section(of: value, path: value.path, isWithinList: true) }

    private mutating func section(of value: Value?, path: String, isWithinList: Bool = false) -> Section {
        var fields: [(name: String, key: Node, value: Node)] = []
        if let value {
            if case .mapping(let mapping) = value.node {
                fields = mapping.map { (name: $0.key.scalar?.string ?? "", key: $0.key, value: $0.value) }
            } else {
                report(value.origin, value.path, "a mapping belongs here and this is \(value.kind)")
            }
        }
        return Section(
            path: path,
            fields: fields,
            fixedOrigin: value?.fixedOrigin,
            file: file,
            isWithinList: isWithinList
        )
    }

    /// Ends a mapping: what nobody asked for is unknown.
    mutating func end(_ section: Section) {
        for field in section.fields where !section.asked.contains(field.name) {
            let value = Value(
                node: field.key, path: section.path(of: field.name), fixedOrigin: section.fixedOrigin, file: file)
            let meant = suggestion(nearestName(to: field.name, among: section.asked))
            report(value.origin, value.path, "there is no such field\(meant)")
        }
    }

    /// Ends the reading: flags that name no field are faults.
    mutating func end() {
        for flag in overrides.flags where !known.contains(flag.path) {
            report(
                flag.origin, flag.path, "there is no such field\(suggestion(nearestName(to: flag.path, among: known)))")
        }
    }

    /// Variables that name no field but nearly do. Not faults: Kubernetes puts its own `LARDER_*_SERVICE_HOST` into
    /// every pod that shares a namespace with a service of that name.
    var doubtfulVariables: [(name: String, meant: String)] {
        let variables = known.map(ConfigurationOverrides.variable(of:))
        return overrides.environment.keys.sorted().compactMap { name in
            guard !variables.contains(name), let meant = nearestName(to: name, among: variables) else { return nil }
            return (name, meant)
        }
    }

    private func describe(_ error: any Error) -> (line: Int, column: Int, message: String) {
        guard let error = error as? YamlError else { return (0, 0, "\(error)") }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return (mark.line, mark.column, "this is not YAML: \(problem)")
        case .duplicatedKeysInMapping(let names, let context):
            return (
                context.mark.line, context.mark.column,
                "the mapping has a field twice: \(names.joined(separator: ", "))"
            )
        case .reader(let problem, _, _, _), .writer(let problem), .emitter(let problem), .representer(let problem):
            return (0, 0, "this is not YAML: \(problem)")
        case .no, .memory, .dataCouldNotBeDecoded:
            return (0, 0, "this is not YAML: \(error)")
        }
    }
}
