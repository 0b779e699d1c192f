// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport

/// The real program, as a process of its own, with a volume mounted.
final class RunningAgent: Sendable {
    /// Beside the test bundle: both come from one build.
    static var program: String {
        let bundle = ProcessInfo.processInfo.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("larder").path
    }

    let root: String
    private let started = Started()
    var mount: String { root + "/run/ci/mnt" }
    var socket: String { root + "/run/ci/agent.sock" }
    var configuration: String { root + "/agent.yaml" }

    init(volumes: [String] = ["ci"]) throws {
        root = NSTemporaryDirectory() + "larder-agent-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: root + "/run", withIntermediateDirectories: true)
        let text = """
            site: basement
            name: one
            store: {path: \(root)/store, quota: 2GiB, freeFraction: 1%}
            listen: "127.0.0.1:\(try freePort())"
            volumes: [\(volumes.map { "{name: \($0), path: \(root)/run/\($0)}" }.joined(separator: ", "))]
            control: \(root)/run/agent.sock
            telemetry: {listen: "127.0.0.1:\(try freePort())"}
            log: {level: warning, format: text}

            """
        try text.write(toFile: configuration, atomically: true, encoding: .utf8)
    }

    /// Starts the agent and waits until it answers at its socket.
    func start() async throws -> Child {
        let agent = try await Child.start(RunningAgent.program, ["agent", "--config", configuration])
        started.append(agent)
        while try await larder("status").code != 0 {
            if let outcome = agent.outcome { throw AgentEnded(code: outcome.code) }
            try await Task.sleep(for: .milliseconds(20))
        }
        return agent
    }

    /// Runs the command line against this agent.
    func larder(_ arguments: String...) async throws -> Outcome {
        try await Child.run(RunningAgent.program, [arguments[0], "--socket", socket] + arguments.dropFirst())
    }

    func sh(_ script: String) async throws -> Outcome {
        try await Child.sh("cd '\(mount)' && { \(script)\n}")
    }

    /// Takes away agents that still run, mounts and files.
    func remove() {
        for agent in started.all { agent.killGroup() }
        let volumes = (try? FileManager.default.contentsOfDirectory(atPath: root + "/run")) ?? []
        for path in volumes.flatMap({ [root + "/run/\($0)/mnt", root + "/run/\($0)"] }) {
            while umount2(path, Int32(MNT_DETACH)) == 0 {}
        }
        try? FileManager.default.removeItem(atPath: root)
    }
}

/// The agents that were started, whether they still run or not.
///
/// Safety: every access holds the lock.
private final class Started: @unchecked Sendable {
    private let lock = NSLock()
    private var children: [Child] = []

    func append(_ child: Child) { lock.withLock { children.append(child) } }
    var all: [Child] { lock.withLock { children } }
}

struct AgentEnded: Error {
    let code: Int32
}

/// A port that nobody listens at just now.
func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw POSIXError(.EIO) }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
        }
    }
    guard bound else { throw POSIXError(.EADDRINUSE) }
    return Int(UInt16(bigEndian: address.sin_port))
}
