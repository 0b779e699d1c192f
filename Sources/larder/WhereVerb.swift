// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Control

/// `larder where ci/app/1.tar`
struct WhereVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "where",
        abstract: "List the agents that hold all of an object, SITE/NAME a line.",
        discussion: """
            Nothing is listed for what is small enough to be a part of the directory, for directories and for symbolic \
            links: they are on every agent. An agent of another site whose name only its gateway knows is SITE/ID.
            """
    )

    @Argument(help: "NAMESPACE/PATH")
    var key: String

    @OptionGroup var options: Options

    func run() async throws {
        try Options.checked([key])
        let status = try await options.withClient { try await $0.status(of: key) }
        if options.json { return try Output.json(status.holders) }
        Output.table(status.holders.map { [$0] })
    }
}
