// SPDX-License-Identifier: Apache-2.0

import Content
import Glibc

/// A configuration and what is odd but not wrong about it.
public struct LoadedConfiguration: Sendable {
    public let configuration: AgentConfiguration
    public let warnings: [String]
}

extension AgentConfiguration {
    /// The most bytes of a configuration file: a thousand volumes fit.
    public static let fileByteCountMax = 1 << 20

    /// The configuration of a file and what stands over it.
    ///
    /// - Parameter file: nil where everything comes from variables and flags.
    /// - Throws: ``AgentError`` `configuration` with every fault, not just the first.
    public static func load(file: String?, overrides: ConfigurationOverrides) throws(AgentError) -> LoadedConfiguration
    {
        var yaml = ""
        if let file {
            do throws(AgentError) {
                yaml = try contents(of: file)
            } catch {
                let problem = ConfigurationProblem(.file(path: file, line: 0, column: 0), field: "", error.message)
                throw AgentError(.configuration, "the configuration cannot be used", problems: [problem])
            }
        }
        return try read(yaml: yaml, file: file ?? "configuration", overrides: overrides)
    }

    /// The configuration of a text; `file` is what messages call it.
    ///
    /// - Throws: ``AgentError`` `configuration` with every fault, not just the first.
    public static func read(
        yaml: String,
        file: String,
        overrides: ConfigurationOverrides = ConfigurationOverrides()
    ) throws(AgentError) -> LoadedConfiguration {
        var reader = ConfigurationReader(file: file, overrides: overrides)
        var root = reader.root(yaml: yaml)
        let isReadable = reader.problems.isEmpty
        var places = ConfigurationPlaces()
        let configuration = AgentConfiguration(reading: &root, with: &reader, places: &places)
        if isReadable {
            reader.end(root)
            reader.end()
            for problem in configuration.conflicts(places: places) {
                reader.report(problem.origin, problem.field, problem.message)
            }
        }
        guard isReadable, reader.problems.isEmpty else {
            // A file that is no YAML would also lack its site, and so on: the one fault is enough.
            let problems = isReadable ? reader.problems : Array(reader.problems.prefix(1))
            throw AgentError(.configuration, "the configuration cannot be used", problems: problems)
        }
        let warnings = reader.doubtfulVariables.map { "the variable \($0.name) is no field; did you mean \($0.meant)?" }
        return LoadedConfiguration(configuration: configuration, warnings: warnings)
    }

    private init(
        reading root: inout ConfigurationReader.Section,
        with reader: inout ConfigurationReader,
        places: inout ConfigurationPlaces
    ) {
        let site = reader.value("site", of: &root, label)
        if site == nil, !reader.problems.contains(where: { $0.field == "site" }) {
            reader.report(
                root.origin(of: "site") ?? .file(path: reader.file, line: 0, column: 0),
                "site",
                "it is missing: the name of the cluster that this agent is part of, such as 'site: basement'"
            )
        }
        self.init(site: site ?? "", name: AgentConfiguration.hostName())
        name = reader.value("name", of: &root, label) ?? name
        store = Store(reading: &root, with: &reader)
        places.listen = reader.origin(of: "listen", in: root)
        listen = reader.value("listen", of: &root, Endpoint.init(parsing:)) ?? listen
        places.insecure = reader.origin(of: "insecure", in: root)
        insecure = reader.value("insecure", of: &root, flag) ?? insecure
        tls = TLS(reading: &root, with: &reader)
        places.allow = reader.origin(of: "allow", in: root)
        allow = reader.list("allow", of: &root)?.compactMap { reader.text(of: $0, label) }
        places.peers = reader.origin(of: "peers", in: root)
        peers = Peers(reading: &root, with: &reader)
        links = AgentConfiguration.links(reading: &root, with: &reader, places: &places)
        uplink = reader.value("uplink", of: &root, BitRate.init(parsing:))
        headroom = reader.value("headroom", of: &root, share) ?? headroom
        volumes = AgentConfiguration.volumes(reading: &root, with: &reader, places: &places)
        copies = reader.value("copies", of: &root, copyCount) ?? copies
        rules = AgentConfiguration.rules(reading: &root, with: &reader)
        hold = reader.value("hold", of: &root, socketPath)
        resend =
            reader.value("resend", of: &root) { text throws(AgentError) in try choice(text, Resend.self) } ?? resend
        owner = Owner(reading: &root, with: &reader)
        places.control = reader.origin(of: "control", in: root)
        control = reader.value("control", of: &root, socketPath) ?? control
        var section = reader.section("telemetry", of: &root)
        telemetry = reader.value("listen", of: &section, Endpoint.init(parsing:)) ?? telemetry
        reader.end(section)
        log = Log(reading: &root, with: &reader)
        limits = Limits(reading: &root, with: &reader)
    }

    private static func links(
        reading root: inout ConfigurationReader.Section,
        with reader: inout ConfigurationReader,
        places: inout ConfigurationPlaces
    ) -> [Link] {
        var links: [Link] = []
        for element in reader.list("links", of: &root) ?? [] {
            var section = reader.section(of: element)
            let count = reader.problems.count
            let site = reader.value("site", of: &section, label)
            let address = reader.value("address", of: &section, remote)
            reader.end(section)
            if let site {
                links.append(Link(site: site, address: address))
                places.links.append(element.origin)
            } else if reader.problems.count == count {
                reader.report(element.origin, "\(element.path).site", "it is missing: a link leads to a site")
            }
        }
        return links
    }

    private static func volumes(
        reading root: inout ConfigurationReader.Section,
        with reader: inout ConfigurationReader,
        places: inout ConfigurationPlaces
    ) -> [Volume] {
        var volumes: [Volume] = []
        for element in reader.list("volumes", of: &root) ?? [] {
            var section = reader.section(of: element)
            let count = reader.problems.count
            let name = reader.value("name", of: &section, namespaceName)
            let namespace = reader.value("namespace", of: &section, namespaceName)
            let path = reader.value("path", of: &section, absolutePath)
            let access = reader.value("access", of: &section) { text throws(AgentError) in try choice(text, Access.self)
            }
            reader.end(section)
            guard let name else {
                if reader.problems.count == count {
                    reader.report(element.origin, "\(element.path).name", "it is missing: a volume has a name")
                }
                continue
            }
            volumes.append(
                Volume(
                    name: name,
                    namespace: namespace ?? name,
                    path: path ?? "/run/larder/\(name)",
                    access: access ?? .readWrite
                )
            )
            places.volumes.append(element.origin)
        }
        return volumes
    }

    /// The name of this host up to its first dot, which is how Kubernetes names nodes most often.
    public static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "larder" }
        let name = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let label = String(decoding: name, as: UTF8.self).split(separator: ".").first.map(String.init)
        return label ?? "larder"
    }

    private static func contents(of file: String) throws(AgentError) -> String {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw AgentError(.configuration, "the file cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { _ = close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: fileByteCountMax + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { unsafe in
                Glibc.read(descriptor, unsafe.baseAddress?.advanced(by: count), unsafe.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else {
                throw AgentError(.configuration, "the file cannot be read: \(String(cString: strerror(errno)))")
            }
            if got == 0 { break }
            count += got
        }
        guard count <= fileByteCountMax else {
            throw AgentError(.configuration, "the file has more than \(fileByteCountMax) bytes")
        }
        guard let text = String(validating: bytes.prefix(count), as: UTF8.self) else {
            throw AgentError(.configuration, "the file is not UTF-8")
        }
        return text
    }
}
