// SPDX-License-Identifier: Apache-2.0

import Agent
import Testing

@Suite("A bad configuration")
struct ConfigurationFaultTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let yaml: String
        let place: String
        let field: String
        /// Words that the message has to have.
        let words: [String]

        var testDescription: String { "\(field): \(yaml.prefix(60))" }
    }

    static func problems(
        _ yaml: String,
        overrides: ConfigurationOverrides = ConfigurationOverrides()
    ) -> [ConfigurationProblem] {
        do throws(AgentError) {
            _ = try AgentConfiguration.read(yaml: yaml, file: "larder.yaml", overrides: overrides)
            return []
        } catch {
            #expect(error.code == .configuration)
            return error.problems
        }
    }

    static let cases: [Case] = [
        Case(yaml: "site: s\nupllink: 50Mbit", place: "2:1", field: "upllink", words: ["no such field", "'uplink'"]),
        Case(yaml: "site: s\nstore:\n  qouta: 1GiB", place: "3:3", field: "store.qouta", words: ["'quota'"]),
        Case(yaml: "site: s\nuplink: 50Mbitt", place: "2:9", field: "uplink", words: ["50Mbitt", "Mbit'"]),
        Case(yaml: "site: s\nuplink: fast", place: "2:9", field: "uplink", words: ["'fast'"]),
        Case(yaml: "site: s\nuplink: 50MB", place: "2:9", field: "uplink", words: ["bit"]),
        Case(yaml: "site: s\nstore: {quota: 100Gib}", place: "2:16", field: "store.quota", words: ["100Gib", "GiB"]),
        Case(yaml: "site: s\nstore: {quota: -1}", place: "2:16", field: "store.quota", words: ["'-1'"]),
        Case(yaml: "site: s\nstore: {quota: 1KiB}", place: "2:16", field: "store.quota", words: ["64MiB"]),
        Case(yaml: "site: s\nstore: {freeFraction: 0.2}", place: "2:23", field: "store.freeFraction", words: ["20%"]),
        Case(yaml: "site: s\nstore: {path: var/lib}", place: "2:15", field: "store.path", words: ["absolute"]),
        Case(yaml: "site: s\nstore: [1]", place: "2:8", field: "store", words: ["a mapping belongs here", "a list"]),
        Case(yaml: "site: s\nlimits: {stall: 60}", place: "2:17", field: "limits.stall", words: ["60s"]),
        Case(yaml: "site: s\nlimits: {stall: 1ms}", place: "2:17", field: "limits.stall", words: ["1s"]),
        Case(yaml: "site: s\nlimits: {object: 2TiB}", place: "2:18", field: "limits.object", words: ["1TiB"]),
        Case(yaml: "site: s\nlimits: {entries: many}", place: "2:19", field: "limits.entries", words: ["'many'"]),
        Case(yaml: "site: s\ncopies: 0", place: "2:9", field: "copies", words: ["1 to 16"]),
        Case(yaml: "site: s\nrules: [{keep: 3}]", place: "2:9", field: "rules[0].prefix", words: ["missing"]),
        Case(yaml: "site: s\nrules: [{prefix: /ci}]", place: "2:18", field: "rules[0].prefix", words: ["'/ci'"]),
        Case(
            yaml: "site: s\nrules: [{prefix: ci, to: cloud}]", place: "2:26", field: "rules[0].to", words: ["all-sites"]
        ),
        Case(
            yaml: "site: s\nrules: [{prefix: ci, unread: 1s}]", place: "2:30", field: "rules[0].unread", words: ["1m"]),
        Case(
            yaml: "site: s\nrules: [{prefix: ci}, {prefix: ci/}]",
            place: "2:23",
            field: "rules[1].prefix",
            words: ["two rules", "'ci'"]
        ),
        Case(yaml: "site: s\nlisten: 10.0.0.1", place: "2:9", field: "listen", words: ["HOST:PORT"]),
        Case(yaml: "site: s\nlisten: 10.0.0.256:1", place: "2:9", field: "listen", words: ["HOST:PORT"]),
        Case(yaml: "site: s\nlisten: 0.0.0.0:7420", place: "2:9", field: "listen", words: ["insecure: true"]),
        Case(yaml: "site: s\ninsecure: yes please", place: "2:11", field: "insecure", words: ["true nor false"]),
        Case(yaml: "site: s\npeers: {static: [a:0]}", place: "2:18", field: "peers.static[0]", words: ["1 to 65535"]),
        Case(
            yaml: "site: s\npeers: {static: [127.0.0.1:1, 127.0.0.1:1]}",
            place: "2:31",
            field: "peers.static[1]",
            words: ["twice"]
        ),
        Case(
            yaml: "site: s\npeers: {static: [10.0.0.2:1]}",
            place: "2:8",
            field: "peers",
            words: ["10.0.0.2:1", "plaintext", "'tls'", "insecure: true"]
        ),
        Case(
            yaml: "site: s\nlinks: [{site: c, address: gate.example:1}]",
            place: "2:9",
            field: "links[0].address",
            words: ["gate.example:1", "plaintext"]
        ),
        Case(
            yaml: "site: s\ntls: {certificate: /c, key: /k}",
            place: "2:6",
            field: "tls.trust",
            words: ["missing", "authorities"]
        ),
        Case(
            yaml: "site: s\ntls: {certificate: c, key: /k, trust: [/t]}",
            place: "2:20",
            field: "tls.certificate",
            words: ["absolute"]
        ),
        Case(
            yaml: "site: s\ninsecure: true\ntls: {certificate: /c, key: /k, trust: [/t]}",
            place: "2:11",
            field: "insecure",
            words: ["'tls'", "leave one"]
        ),
        Case(
            yaml: "site: s\nallow: [t]\ntls: {certificate: /c, key: /k, trust: [/t]}",
            place: "2:8",
            field: "allow",
            words: ["site 's'", "own site"]
        ),
        Case(
            yaml: "site: s\npeers: {static: a:1}", place: "2:17", field: "peers.static", words: ["a list belongs"]),
        Case(yaml: "site: s\nlinks: [{site: s}]", place: "2:9", field: "links[0].site", words: ["this agent"]),
        Case(yaml: "site: s\nlinks: [{address: a:1}]", place: "2:9", field: "links[0].site", words: ["missing"]),
        Case(yaml: "site: s\nlinks: [{site: c}, {site: c}]", place: "2:20", field: "links[1].site", words: ["already"]),
        Case(yaml: "site: s\nvolumes: [{}]", place: "2:11", field: "volumes[0].name", words: ["missing"]),
        Case(yaml: "site: s\nvolumes: [{name: ../x}]", place: "2:18", field: "volumes[0].name", words: ["namespace"]),
        Case(
            yaml: "site: s\nvolumes: [{name: a, access: readwrite}]",
            place: "2:29",
            field: "volumes[0].access",
            words: ["'readwrite'", "'read-write'"]
        ),
        Case(
            yaml: "site: s\nvolumes:\n- name: a\n- name: a\n  namespace: b\n  path: /x",
            place: "4:3",
            field: "volumes[1].name",
            words: ["already"]
        ),
        Case(
            yaml: "site: s\nvolumes:\n- name: a\n- {name: b, namespace: a}",
            place: "4:3",
            field: "volumes[1].namespace",
            words: ["volume 'a'"]
        ),
        Case(
            yaml: "site: s\nvolumes:\n- {name: a, path: /x}\n- {name: b, path: /x/y}",
            place: "4:3",
            field: "volumes[1].path",
            words: ["within one another"]
        ),
        Case(
            yaml: "site: s\nvolumes: [{name: a, path: /var/lib}]",
            place: "2:11",
            field: "volumes[0].path",
            words: ["/var/lib/larder"]
        ),
        Case(yaml: "site: s\nlog: {level: loud}", place: "2:14", field: "log.level", words: ["debug, info"]),
        Case(yaml: "site: s\nowner: {uid: root}", place: "2:14", field: "owner.uid", words: ["'root'"]),
        Case(yaml: "site: a b", place: "1:7", field: "site", words: ["letters"]),
        Case(yaml: "site: [a]", place: "1:7", field: "site", words: ["one value", "a list"]),
        Case(yaml: "name: n", place: "", field: "site", words: ["missing", "site: basement"]),
        Case(yaml: "site: s\nsite: t", place: "1:1", field: "", words: ["twice", "site"]),
        Case(yaml: "site: s\n  name: [", place: "2:7", field: "", words: ["not YAML"]),
        Case(yaml: "- site", place: "1:1", field: "", words: ["a mapping belongs here"]),
    ]

    @Test("is refused with file, line, column and field", arguments: cases)
    func refused(of bad: Case) throws {
        let problems = Self.problems(bad.yaml)
        let problem = try #require(problems.first, "nothing was found wrong with:\n\(bad.yaml)")
        #expect(problems.count == 1, "\(problems)")
        #expect(problem.field == bad.field)
        for word in bad.words { #expect(problem.message.contains(word), "\(problem)") }
        let place = bad.place.isEmpty ? "larder.yaml" : "larder.yaml:\(bad.place)"
        #expect(problem.description.hasPrefix("\(place):"), "\(problem)")
    }

    @Test("is told all of its faults at once")
    func allAtOnce() {
        let yaml = "sitee: s\nuplink: 50Mbitt\nstore: {quota: much, pth: /x}\nvolumes: [{name: '.'}]\nlisten: 1.2.3.4:5"
        let fields = Set(Self.problems(yaml).map(\.field))
        let all: Set = ["sitee", "site", "uplink", "store.quota", "store.pth", "volumes[0].name", "listen"]
        #expect(fields == all)
    }

    @Test("names the variable or flag that a value comes from")
    func origins() {
        let overrides = ConfigurationOverrides(
            environment: ["LARDER_UPLINK": "50Mbitt", "LARDER_PEERS_STATIC": "[a"],
            flags: [.init(path: "store.qouta", value: "1"), .init(path: "limits.stall", value: "x")]
        )
        let descriptions = Self.problems("site: s", overrides: overrides).map(\.description)
        #expect(descriptions.contains { $0.hasPrefix("environment LARDER_UPLINK: uplink: '50Mbitt'") })
        #expect(
            descriptions.contains { $0.hasPrefix("environment LARDER_PEERS_STATIC: peers.static: this is not YAML") })
        #expect(descriptions.contains { $0.hasPrefix("--set store.qouta=1: ") && $0.contains("'store.quota'") })
        #expect(descriptions.contains { $0.hasPrefix("--set limits.stall=x: limits.stall: ") })
    }

    @Test("with a certificate that is not there names field and file")
    func missingCertificate() throws {
        let yaml = "site: s\ntls: {certificate: /nonexistent/tls.crt, key: /k, trust: [/t]}"
        let configuration = try AgentConfiguration.read(yaml: yaml, file: "f").configuration
        let error = try #require(throws: AgentError.self) { try configuration.keyring() }
        #expect(error.code == .configuration)
        #expect(error.description.contains("tls.certificate: '/nonexistent/tls.crt' cannot be read: No such file"))
    }

    @Test("that is not there is named")
    func missingFile() throws {
        let error = try #require(throws: AgentError.self) {
            try AgentConfiguration.load(file: "/nonexistent/larder.yaml", overrides: ConfigurationOverrides())
        }
        #expect(error.description.contains("/nonexistent/larder.yaml: the file cannot be read: No such file"))
    }
}
