// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Control

/// `larder unpin ci/base.tar`
struct UnpinVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpin", abstract: "Allow pinned keys to be evicted again.")

    @Argument(help: "NAMESPACE/PATH")
    var keys: [String]

    @OptionGroup var options: Options

    func run() async throws {
        try Options.checked(keys)
        try await options.withClient { client in
            for key in keys { try await client.unpin(key) }
            if options.json { try Output.json(try await client.pins()) }
        }
    }
}
