// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Content
import Control

/// What every verb that speaks to the agent takes.
struct Options: ParsableArguments {
    @Option(help: "The agent's control socket.")
    var socket: String?

    @Flag(help: "Results as JSON.")
    var json = false

    /// Calls `body` with a client of the socket that is meant.
    func withClient<R>(_ body: (ControlClient) async throws -> R) async throws -> R {
        try await ControlClient.with(socket: try SocketPath.find(given: socket), body)
    }

    /// A key, refused here with the words that the agent would use.
    static func checked(_ keys: [String]) throws(ContentError) {
        for key in keys { _ = try Key(key) }
    }
}
