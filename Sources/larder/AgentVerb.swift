// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Foundation

/// `larder agent --config /etc/larder/agent.yaml`
struct AgentVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Run the agent of this node.",
        discussion: """
            The configuration is a YAML file. LARDER_* variables stand over it (LARDER_SITE, LARDER_STORE_QUOTA, \
            LARDER_LIMITS_STALL, …: the field's path in capitals), and flags over these. Lists are given as YAML: \
            LARDER_VOLUMES='[{name: ci}]'. A bad configuration ends with status 2 and every fault in it.
            """
    )

    @Option(help: ArgumentHelp("The configuration file.", valueName: "file"))
    var config: String?

    @Flag(help: "Check the configuration, print what is in effect, and end.")
    var check = false

    @Option(help: "The cluster that this agent is part of.")
    var site: String?

    @Option(help: "The agent's name; default: the host's.")
    var name: String?

    @Option(help: ArgumentHelp("Set a field, as in store.quota=100GiB; may be repeated.", valueName: "path=value"))
    var set: [String] = []

    func run() async throws {
        var flags: [ConfigurationOverrides.Flag] = []
        if let site { flags.append(ConfigurationOverrides.Flag(path: "site", value: site)) }
        if let name { flags.append(ConfigurationOverrides.Flag(path: "name", value: name)) }
        for text in set {
            guard let flag = ConfigurationOverrides.Flag(parsing: text) else {
                throw UsageError(message: "--set takes PATH=VALUE, such as store.quota=100GiB, and not '\(text)'")
            }
            flags.append(flag)
        }
        let overrides = ConfigurationOverrides(environment: ProcessInfo.processInfo.environment, flags: flags)
        let loaded = try AgentConfiguration.load(file: config, overrides: overrides)
        for warning in loaded.warnings { Output.line("larder: warning: \(warning)") }
        _ = try loaded.configuration.keyring()
        if check { return print(try loaded.configuration.yaml(), terminator: "") }
        let exporter = Telemetry.bootstrap(loaded.configuration.log)
        try await NodeAgent(loaded.configuration, exporter: exporter).run()
    }
}
