// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Foundation
import Holder

/// `larder hold --socket /run/larder/hold.sock`
struct HoldVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Keep the mounts of this node while agents come and go.",
        discussion: """
            An agent whose configuration says 'hold: SOCKET' has its volumes mounted by this process. When the agent \
            dies or is replaced, readers and writers wait for the next one and go on. A holder that is started at the \
            socket of another takes everything over from it, and that one ends.

            SIGTERM unmounts what no agent serves.
            """
    )

    @Option(help: "Where agents ask for their volumes.")
    var socket: String?

    @Option(help: ArgumentHelp("An agent's configuration, which says the same as 'hold'.", valueName: "file"))
    var config: String?

    @Option(help: "How long requests wait for an agent before they fail.")
    var grace = "60s"

    @Flag(help: "After a successor took over wait for SIGTERM, where ending would mean to be started again.")
    var linger = false

    func run() throws {
        let limit = try Duration(parsing: grace)
        let holder = Holder(path: try path(), grace: UInt64(limit / .milliseconds(1)), lingers: linger) {
            Output.line("larder: hold: \($0)")
        }
        try holder.run()
    }

    private func path() throws -> String {
        if let socket { return socket }
        let overrides = ConfigurationOverrides(environment: ProcessInfo.processInfo.environment, flags: [])
        let loaded = try config.map { try AgentConfiguration.load(file: $0, overrides: overrides) }
        guard let path = loaded?.configuration.hold else {
            throw UsageError(message: "--socket PATH, or --config FILE with the field 'hold', says where")
        }
        return path
    }
}
