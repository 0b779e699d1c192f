// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The real program, as a process of its own, with a volume mounted.
final class RunningAgent: Sendable {
    /// Beside the test bundle: both come from one build.
    static var program: String {
        let bundle = ProcessInfo.processInfo.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("larder").path
    }

    let root: String
    var mount: String { root + "/run/ci/mnt" }
    var socket: String { root + "/run/ci/agent.sock" }
    var configuration: String { root + "/agent.yaml" }

    init() throws {
        root = NSTemporaryDirectory() + "larder-agent-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: root + "/run", withIntermediateDirectories: true)
        let text = """
            site: basement
            name: one
            store: {path: \(root)/store, quota: 2GiB, freeFraction: 1%}
            listen: "127.0.0.1:\(try freePort())"
            volumes: [{name: ci, path: \(root)/run/ci}]
            control: \(root)/run/agent.sock
            telemetry: {listen: "127.0.0.1:\(try freePort())"}
            log: {level: warning, format: text}

            """
        try text.write(toFile: configuration, atomically: true, encoding: .utf8)
    }

    /// Starts the agent and waits until it answers at its socket.
    func start() async throws -> Process {
        let agent = Process()
        agent.executableURL = URL(fileURLWithPath: RunningAgent.program)
        agent.arguments = ["agent", "--config", configuration]
        agent.standardInput = FileHandle.nullDevice
        try agent.run()
        while try await larder("status").code != 0 {
            guard agent.isRunning else { throw AgentEnded(code: agent.terminationStatus) }
            try await Task.sleep(for: .milliseconds(20))
        }
        return agent
    }

    /// Runs the command line against this agent.
    func larder(_ arguments: String...) async throws -> (output: String, code: Int32) {
        try await run(RunningAgent.program, [arguments[0], "--socket", socket] + arguments.dropFirst())
    }

    func sh(_ script: String) async throws -> (output: String, code: Int32) {
        try await run("/bin/bash", ["-c", "cd '\(mount)' && { \(script)\n}"])
    }

    func run(_ program: String, _ arguments: [String]) async throws -> (output: String, code: Int32) {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: program)
                process.arguments = arguments
                process.standardInput = FileHandle.nullDevice
                let pipe = Pipe()
                process.standardOutput = pipe
                process.standardError = pipe
                do {
                    try process.run()
                } catch {
                    return continuation.resume(throwing: error)
                }
                let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                process.waitUntilExit()
                continuation.resume(returning: (output, process.terminationStatus))
            }
        }
    }

    /// Takes away mounts and files; no agent may run any more.
    func remove() {
        for path in [mount, root + "/run/ci"] {
            while umount2(path, Int32(MNT_DETACH)) == 0 {}
        }
        try? FileManager.default.removeItem(atPath: root)
    }
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
