// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Control

/// `larder wait ci/app/1.tar --timeout 10m`
struct WaitVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait until a key is published.",
        discussion: "Ends at once where it is. Ends with status 6 where it is not in time."
    )

    @Argument(help: "NAMESPACE/PATH")
    var key: String

    @Option(help: ArgumentHelp("How long at most: 30s, 10m, up to 1d.", valueName: "duration"))
    var timeout = "10m"

    @OptionGroup var options: Options

    func run() async throws {
        try Options.checked([key])
        let limit = try Duration(parsing: timeout)
        guard limit <= .seconds(86_400) else {
            throw UsageError(message: "a wait lasts a day at most and not \(timeout)")
        }
        let begin = ContinuousClock.now
        let interruption = Interruption { [key] in "larder: wait \(key): interrupted" }
        defer { interruption.end() }
        do {
            let entry = try await options.withClient { try await $0.wait(key, atMost: limit) }
            if options.json { try Output.json(entry) }
            let torn = entry.torn ? ", TORN" : ""
            let waited = (ContinuousClock.now - begin).rounded
            Output.line("larder: wait \(key): there, \(ByteSize(bytes: entry.size).rounded)\(torn), waited \(waited)")
        } catch {
            guard let (status, text) = Failure.known(error) else { throw error }
            Output.line("larder: wait \(key): \(text)")
            throw Ended(status: status)
        }
    }
}
