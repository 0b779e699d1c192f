// SPDX-License-Identifier: Apache-2.0

import Content
import Objects

extension AgentConfiguration.Store {
    init(reading root: inout ConfigurationReader.Section, with reader: inout ConfigurationReader) {
        self.init()
        var section = reader.section("store", of: &root)
        path = reader.value("path", of: &section, absolutePath) ?? path
        quota = reader.value("quota", of: &section) { text throws(AgentError) in
            let size = try ByteSize(parsing: text)
            guard size.bytes >= 64 << 20 else {
                throw AgentError(.value, "'\(text)' is less than 64MiB, which nothing useful fits in")
            }
            return size
        }
        freeFraction = reader.value("freeFraction", of: &section, share) ?? freeFraction
        reader.end(section)
    }
}

extension AgentConfiguration.Peers {
    init(reading root: inout ConfigurationReader.Section, with reader: inout ConfigurationReader) {
        self.init()
        var section = reader.section("peers", of: &root)
        for element in reader.list("static", of: &section) ?? [] {
            guard let endpoint = reader.text(of: element, remote) else { continue }
            if `static`.contains(endpoint) {
                reader.report(element.origin, element.path, "\(endpoint) is listed twice")
            } else {
                `static`.append(endpoint)
            }
        }
        dns = reader.value("dns", of: &section, remote)
        reader.end(section)
    }
}

extension AgentConfiguration.TLS {
    /// Nil where none of its fields is there; one that lacks is a fault.
    init?(reading root: inout ConfigurationReader.Section, with reader: inout ConfigurationReader) {
        let count = reader.problems.count
        var section = reader.section("tls", of: &root)
        let certificate = reader.value("certificate", of: &section, absolutePath)
        let key = reader.value("key", of: &section, absolutePath)
        let trust = reader.list("trust", of: &section)?.compactMap { reader.text(of: $0, absolutePath) }
        reader.end(section)
        guard certificate != nil || key != nil || trust != nil else { return nil }
        if reader.problems.count == count {
            for (field, isMissing, meaning) in [
                ("certificate", certificate == nil, "the file of this agent's certificate"),
                ("key", key == nil, "the file of the certificate's key"),
                ("trust", trust?.isEmpty ?? true, "the files of the authorities whose certificates are believed"),
            ] where isMissing {
                reader.report(reader.origin(of: "tls", in: root), "tls.\(field)", "it is missing: \(meaning)")
            }
        }
        guard let certificate, let key, let trust else { return nil }
        self.init(certificate: certificate, key: key, trust: trust)
    }
}

extension AgentConfiguration.Owner {
    init(reading root: inout ConfigurationReader.Section, with reader: inout ConfigurationReader) {
        self.init()
        var section = reader.section("owner", of: &root)
        uid = reader.value("uid", of: &section, identity) ?? uid
        gid = reader.value("gid", of: &section, identity) ?? gid
        reader.end(section)
    }
}

extension AgentConfiguration {
    static func rules(
        reading root: inout ConfigurationReader.Section, with reader: inout ConfigurationReader
    ) -> [Rule] {
        var rules: [Rule] = []
        for element in reader.list("rules", of: &root) ?? [] {
            var section = reader.section(of: element)
            let count = reader.problems.count
            let prefix = reader.value("prefix", of: &section, keyPrefix)
            let copies = reader.value("copies", of: &section, copyCount)
            let to = reader.value("to", of: &section) { text throws(AgentError) in
                try choice(text, Rule.Destination.self)
            }
            let unread = reader.value("unread", of: &section, duration(from: .seconds(60), to: .seconds(315_576_000)))
            let keep = reader.value("keep", of: &section, Agent.count(from: 1, to: 100_000_000))
            reader.end(section)
            guard let prefix else {
                if reader.problems.count == count {
                    reader.report(element.origin, "\(element.path).prefix", "it is missing: what the rule is for")
                }
                continue
            }
            guard !rules.contains(where: { $0.prefix.hasSameBytes(as: prefix) }) else {
                reader.report(element.origin, "\(element.path).prefix", "there are two rules for '\(prefix)'")
                continue
            }
            rules.append(Rule(prefix: prefix, copies: copies, to: to ?? .site, unread: unread, keep: keep))
        }
        return rules
    }

    /// The rules as those who keep to them take them.
    var keepingRules: KeepingRules {
        KeepingRules(
            rules.map { rule in
                KeepingRule(
                    prefix: rule.prefix,
                    copies: Int(rule.copies ?? copies),
                    toAllSites: rule.to == .allSites,
                    unread: rule.unread,
                    keep: rule.keep.map { Int($0) }
                )
            },
            copies: Int(copies)
        )
    }
}

extension AgentConfiguration.Log {
    init(reading root: inout ConfigurationReader.Section, with reader: inout ConfigurationReader) {
        self.init()
        var section = reader.section("log", of: &root)
        level = reader.value("level", of: &section) { text throws(AgentError) in try choice(text, Level.self) } ?? level
        format =
            reader.value("format", of: &section) { text throws(AgentError) in try choice(text, Format.self) } ?? format
        reader.end(section)
    }
}

extension AgentConfiguration.Limits {
    init(reading root: inout ConfigurationReader.Section, with reader: inout ConfigurationReader) {
        self.init()
        var section = reader.section("limits", of: &root)
        memory = reader.value("memory", of: &section, size(from: 32 << 20, to: 1 << 40)) ?? memory
        stall = reader.value("stall", of: &section, duration(from: .seconds(1), to: .seconds(86_400))) ?? stall
        settle = reader.value("settle", of: &section, duration(from: .milliseconds(1), to: .seconds(60))) ?? settle
        object = reader.value("object", of: &section, size(from: 1, to: Manifest.sizeMax)) ?? object
        entries = reader.value("entries", of: &section, count(from: 1, to: 100_000_000)) ?? entries
        lease = reader.value("lease", of: &section, duration(from: .seconds(60), to: .seconds(2_592_000))) ?? lease
        openFiles = reader.value("openFiles", of: &section, count(from: 64, to: 1 << 20)) ?? openFiles
        reader.end(section)
    }
}

extension ConfigurationReader {
    /// Where a field stands: what is over it, or its place in the file.
    func origin(of name: String, in section: Section) -> ConfigurationOrigin {
        overrides.value(of: section.path(of: name))?.origin ?? section.origin(of: name) ?? .absent
    }
}
