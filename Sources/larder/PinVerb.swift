// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Control

/// `larder pin ci/base.tar`
struct PinVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin",
        abstract: "Keep keys in this node's store, or list those that are kept.",
        discussion: "What a pinned key names is not evicted here until 'larder unpin'. Without KEY: the pinned keys."
    )

    @Argument(help: "NAMESPACE/PATH")
    var keys: [String] = []

    @OptionGroup var options: Options

    func run() async throws {
        try Options.checked(keys)
        try await options.withClient { client in
            for key in keys { try await client.pin(key) }
            let pins = try await client.pins()
            if options.json { return try Output.json(pins) }
            if keys.isEmpty { Output.table(pins.keys.map { [$0] }) }
        }
    }
}
