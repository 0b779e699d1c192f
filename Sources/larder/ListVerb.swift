// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Control

/// `larder ls ci/app/`
struct ListVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List keys.",
        discussion: """
            PREFIX is a directory, or the beginning of names in one. Without it: what the socket serves. Directories \
            end with a slash. With --json: one entry a line.
            """
    )

    @Argument(help: "NAMESPACE, or the beginning of keys.")
    var prefix = ""

    @Flag(name: .short, help: "Mode, size and time too.")
    var long = false

    @Flag(name: .shortAndLong, help: "Everything below, not just one level.")
    var recursive = false

    @OptionGroup var options: Options

    func run() async throws {
        try await options.withClient { client in
            var after: String?
            repeat {
                let page = try await client.entries(prefix: prefix, isRecursive: recursive, after: after)
                for entry in page.entries where options.json { try Output.json(entry) }
                if !options.json { Output.table(page.entries.map(row)) }
                after = page.next
            } while after != nil
        }
    }

    private func row(_ entry: EntryMessage) -> [String] {
        let name =
            switch entry.kind {
            case .directory: "\(entry.key)/"
            case .symlink: long ? "\(entry.key) -> \(entry.target ?? "")" : entry.key
            case .object: entry.key
            }
        guard long else { return [name] }
        let size = entry.kind == .directory ? "-" : ByteSize(bytes: entry.size).rounded
        return [entry.mode ?? "-", size, entry.modified ?? "-", entry.torn ? "torn" : "", name]
    }
}
