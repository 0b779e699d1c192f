// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Control

/// `larder stat ci/app/1.tar`
struct StatVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "stat", abstract: "Show what a key names.")

    @Argument(help: "NAMESPACE/PATH")
    var key: String

    @OptionGroup var options: Options

    func run() async throws {
        try Options.checked([key])
        let entry = try await options.withClient { try await $0.entry(key) }
        if options.json { return try Output.json(entry) }
        Output.table(Self.rows(entry))
    }

    static func rows(_ entry: EntryMessage) -> [[String]] {
        var rows = [["key", entry.key], ["kind", entry.kind.rawValue]]
        if entry.kind != .directory {
            rows.append(["size", "\(entry.size) (\(ByteSize(bytes: entry.size).rounded))"])
        }
        if let mode = entry.mode { rows.append(["mode", mode]) }
        if let modified = entry.modified { rows.append(["modified", modified]) }
        if let version = entry.version { rows.append(["version", version]) }
        if let manifest = entry.manifest { rows.append(["manifest", manifest]) }
        if let target = entry.target { rows.append(["target", target]) }
        if entry.torn { rows.append(["torn", "yes: the stream lacks its end, its writer was cut off"]) }
        return rows
    }
}
