// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Logging
import Objects
import ProcessSupport
import TestSupport
import Volumes

/// An agent with one mounted volume of the namespace `ci`.
struct MountFixture: Sendable {
    let agent: AgentFixture
    let volume: Volume
    let hints: HintBox

    var path: String { volume.configuration.mountPoint }

    static func run(
        quota: UInt64? = 2 << 30,
        access: VolumeConfiguration.Access = .readWrite,
        program: String? = nil,
        _ body: @escaping @Sendable (MountFixture) async throws -> Void
    ) async throws {
        try await AgentFixture.run(quota: quota) { agent in
            let root = agent.directory + "-run"
            let configuration = VolumeConfiguration(name: "ci", namespace: "ci", path: root, access: access)
            let hints = HintBox()
            let special = SpecialFiles(
                program: program, status: { Array("serving\n".utf8) }, hint: { hints.append($0) })
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let volume = Volume(configuration: configuration, cache: agent.cache, special: special, logger: logger)
            try volume.start()
            do {
                try await body(MountFixture(agent: agent, volume: volume, hints: hints))
            } catch {
                await volume.stop()
                try Volume.uninstall(configuration)
                throw error
            }
            await volume.stop()
            try Volume.uninstall(configuration)
        }
    }

    /// Runs a shell script in the mount; returns what it printed, and its exit code.
    @discardableResult
    func sh(_ script: String) async throws -> Outcome {
        // Not the child's own directory from the start: a mount that is gone is then an answer, no failure to start.
        try await Child.sh("cd '\(path)' || exit 99\n" + script)
    }

    /// The published entry of a path, once nothing of it is being published any more.
    func entry(_ path: String) async throws -> Entry? {
        try await agent.cache.waitForEntry(try Key("ci/" + path))
    }
}

/// The lines that were written to `.larder/hint`.
final class HintBox: Sendable {
    private let lines = LockedLines()

    func append(_ more: [String]) { lines.append(more) }
    var all: [String] { lines.all }
}

/// Safety: every access holds the lock.
final class LockedLines: @unchecked Sendable {
    private let lock = NSLock()
    private var lines: [String] = []

    func append(_ more: [String]) { lock.withLock { lines += more } }
    var all: [String] { lock.withLock { lines } }
}
