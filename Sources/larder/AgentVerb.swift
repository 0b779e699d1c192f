// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Foundation
import Glibc

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

    @Flag(help: "Start the agent again when it dies, and kill it when it does not answer.")
    var supervise = false

    @Option(help: "With --supervise: how long it may not answer.")
    var watchdog = "5s"

    @Flag(help: "Ask the agent that has the holder's mounts to leave, and go on where it was.")
    var replace = false

    @Flag(help: .hidden)
    var pulse = false

    func run() async throws {
        if supervise { return try superviseAgent() }
        let signs = pulse ? Pulse.begin() : nil
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
        try await NodeAgent(loaded.configuration, exporter: exporter, isReplacing: replace, pulse: signs).run()
    }

    private func superviseAgent() throws {
        let limit = try Duration(parsing: watchdog)
        guard limit >= .seconds(1) else { throw UsageError(message: "--watchdog is at least 1s") }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { throw UsageError(message: "the path of this program cannot be told: /proc is missing") }
        let program = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var arguments = ["agent"]
        if let config { arguments += ["--config", config] }
        if let site { arguments += ["--site", site] }
        if let name { arguments += ["--name", name] }
        for text in set { arguments += ["--set", text] }
        let supervisor = Supervisor(
            program: program, arguments: arguments, watchdog: UInt64(limit / .milliseconds(1))
        ) { Output.line("larder: supervisor: \($0)") }
        let status = supervisor.run()
        if status != 0 { throw ExitCode(status) }
    }
}
