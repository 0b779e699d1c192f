// SPDX-License-Identifier: Apache-2.0

import Agent
import Testing

@Suite("A configuration file")
struct ConfigurationTests {
    static let whole = """
        site: basement
        name: node-1
        store:
          path: /srv/larder/
          quota: 100GiB
          freeFraction: 15%
        listen: 0.0.0.0:7420
        insecure: true
        peers:
          static: [10.0.0.2:7420, "[fd00::2]:7420"]
          dns: larder-peers.larder.svc:7420
        links:
          - {site: cloud, address: 10.9.0.1:7420}
          - site: attic
        uplink: 50Mbit
        headroom: 2.5%
        volumes:
          - name: ci
          - {name: tools, namespace: shared-tools, path: /run/larder/t, access: read-only}
        copies: 3
        rules:
          - {prefix: ci, unread: 14d}
          - {prefix: ci/images/, copies: 1, to: all-sites, keep: 20}
        owner: {uid: 1000, gid: 1001}
        control: /run/larder/admin.sock
        telemetry: {listen: "127.0.0.1:0"}
        log: {level: debug, format: text}
        limits: {memory: 1GiB, stall: 1m30s, settle: 250ms, object: 10GB, entries: 5000, lease: 2h, openFiles: 100}
        """

    @Test("gives every field its value")
    func everyField() throws {
        let loaded = try AgentConfiguration.read(yaml: Self.whole, file: "larder.yaml")
        let configuration = loaded.configuration
        #expect(configuration.site == "basement" && configuration.name == "node-1")
        #expect(configuration.store.path == "/srv/larder")
        #expect(configuration.store.quota?.bytes == 100 << 30)
        #expect(configuration.listen == Endpoint(host: "0.0.0.0", port: 7420))
        #expect(configuration.peers.static.map(\.host) == ["10.0.0.2", "fd00::2"])
        #expect(configuration.peers.dns == Endpoint(host: "larder-peers.larder.svc", port: 7420))
        #expect(configuration.links.map(\.site) == ["cloud", "attic"])
        #expect(configuration.links.map(\.address) == [Endpoint(host: "10.9.0.1", port: 7420), nil])
        #expect(configuration.uplink?.bitsPerSecond == 50_000_000)
        #expect(configuration.pacedUplink == 6_093_750)
        #expect(configuration.volumes.map(\.namespace) == ["ci", "shared-tools"])
        #expect(configuration.volumes.map(\.path) == ["/run/larder/ci", "/run/larder/t"])
        #expect(configuration.volumes.map(\.access) == [.readWrite, .readOnly])
        #expect(configuration.copies == 3 && configuration.rules.map(\.prefix) == ["ci", "ci/images"])
        #expect(configuration.rules.map(\.copies) == [nil, 1] && configuration.rules.map(\.keep) == [nil, 20])
        #expect(configuration.rules.map(\.to) == [.site, .allSites])
        #expect(configuration.rules.map(\.unread) == [.seconds(14 * 86_400), nil])
        #expect(configuration.owner.uid == 1000 && configuration.owner.gid == 1001)
        #expect(configuration.log.level == .debug && configuration.log.format == .text)
        #expect(configuration.limits.stall == .seconds(90) && configuration.limits.settle == .milliseconds(250))
        #expect(configuration.limits.object.bytes == 10_000_000_000)
        #expect(loaded.warnings.isEmpty)
    }

    @Test("needs nothing but a site")
    func least() throws {
        let configuration = try AgentConfiguration.read(yaml: "site: basement", file: "f").configuration
        #expect(configuration.listen.isLoopback)
        #expect(configuration.store.path == "/var/lib/larder" && configuration.store.quota == nil)
        #expect(configuration.volumes.isEmpty && configuration.uplink == nil)
        #expect(configuration.limits == AgentConfiguration(site: "other", name: "n").limits)
        #expect(!configuration.name.isEmpty)
    }

    static let secured = """
        site: basement
        listen: 0.0.0.0:7420
        tls: {certificate: /etc/tls/tls.crt, key: /etc/tls/tls.key, trust: [/etc/tls/ca.crt, /etc/tls/cloud.crt]}
        allow: [basement, cloud]
        peers: {dns: "larder-peers.larder.svc:7420"}
        """

    @Test("needs no 'insecure' where it has certificates")
    func tls() throws {
        let configuration = try AgentConfiguration.read(yaml: Self.secured, file: "f").configuration
        #expect(configuration.tls?.key == "/etc/tls/tls.key")
        #expect(configuration.tls?.trust == ["/etc/tls/ca.crt", "/etc/tls/cloud.crt"])
        #expect(configuration.allow == ["basement", "cloud"] && !configuration.insecure)
    }

    @Test(
        "is printed as one that reads back to the same",
        arguments: [whole, secured, "site: s", "site: 'null'\nname: '1'"])
    func roundTrip(yaml: String) throws {
        let first = try AgentConfiguration.read(yaml: yaml, file: "f").configuration
        let printed = try first.yaml()
        #expect(try AgentConfiguration.read(yaml: printed, file: "printed").configuration == first, "\(printed)")
    }

    @Test("may be empty where variables and flags say all")
    func overridesOnly() throws {
        let overrides = ConfigurationOverrides(
            environment: [
                "LARDER_SITE": "cloud", "LARDER_STORE_FREE_FRACTION": "30%", "LARDER_VOLUMES": "[{name: ci}]",
            ],
            flags: [.init(path: "store.quota", value: "1GiB")]
        )
        let configuration = try AgentConfiguration.load(file: nil, overrides: overrides).configuration
        #expect(configuration.site == "cloud")
        #expect(configuration.store.freeFraction == Percent(30))
        #expect(configuration.store.quota?.bytes == 1 << 30)
        #expect(configuration.volumes.map(\.name) == ["ci"])
    }

    @Test("stands below variables, and these below flags; an empty variable counts as none")
    func precedence() throws {
        let overrides = ConfigurationOverrides(
            environment: ["LARDER_NAME": "from-environment", "LARDER_UPLINK": "1Gbit", "LARDER_SITE": ""],
            flags: [.init(path: "name", value: "first"), .init(path: "name", value: "from-flag")]
        )
        let yaml = "site: basement\nname: from-file\nuplink: 50Mbit"
        let configuration = try AgentConfiguration.read(yaml: yaml, file: "f", overrides: overrides).configuration
        #expect(configuration.name == "from-flag")
        #expect(configuration.uplink?.bitsPerSecond == 1_000_000_000)
        #expect(configuration.site == "basement")
    }

    @Test("has a variable for every field, named by its path")
    func variables() {
        #expect(ConfigurationOverrides.variable(of: "site") == "LARDER_SITE")
        #expect(ConfigurationOverrides.variable(of: "store.freeFraction") == "LARDER_STORE_FREE_FRACTION")
        #expect(ConfigurationOverrides.variable(of: "limits.openFiles") == "LARDER_LIMITS_OPEN_FILES")
    }

    @Test("warns of a variable that is nearly a field, not of what Kubernetes adds")
    func doubtfulVariables() throws {
        let environment = ["LARDER_UPLNIK": "1Mbit", "LARDER_PEERS_SERVICE_HOST": "10.0.0.1", "LARDER_SOCKET": "/s"]
        let overrides = ConfigurationOverrides(environment: environment)
        let warnings = try AgentConfiguration.read(yaml: "site: s", file: "f", overrides: overrides).warnings
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains("LARDER_UPLNIK") == true && warnings.first?.contains("LARDER_UPLINK") == true)
    }
}
