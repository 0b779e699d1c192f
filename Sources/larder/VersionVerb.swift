// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser

/// `larder version`
struct VersionVerb: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Show the version.")

    func run() { print("larder \(NodeAgent.version)") }
}
