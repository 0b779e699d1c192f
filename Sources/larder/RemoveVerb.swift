// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Control

/// `larder rm ci/app/1.tar`
struct RemoveVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove keys, here and everywhere.",
        discussion: "Readers that have one open go on reading it. Goes on after a key that cannot be removed."
    )

    @Argument(help: "NAMESPACE/PATH")
    var keys: [String]

    @Flag(name: .short, help: "A key that does not exist is no failure.")
    var force = false

    @OptionGroup var options: Options

    struct Result: Encodable {
        let key: String
        let removed: Bool
        let error: String?
    }

    func run() async throws {
        try Options.checked(keys)
        var worst = ExitStatus.ok
        try await options.withClient { client in
            for key in keys {
                do {
                    try await client.remove(key)
                    if options.json { try Output.json(Result(key: key, removed: true, error: nil)) }
                } catch let error as ControlError where error.code != .unreachable {
                    if options.json { try Output.json(Result(key: key, removed: false, error: error.message)) }
                    if force, error.code == .notFound { continue }
                    Output.line("larder: rm \(key): \(error.message)")
                    worst = ExitStatus(error.code)
                }
            }
        }
        if worst != .ok { throw Ended(status: worst) }
    }
}
