// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(10)))
struct HandOverTests {
    @Test("P6: an agent that cannot read the mount's memory is refused before the one that serves it has to leave")
    func anotherLayoutIsRefused() async throws {
        try await held { node, hold, _ in
            let program = """
                import socket, sys
                holder = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                holder.connect(sys.argv[1])
                holder.send("\\n".join(["take", "ci", sys.argv[2], "replace", "999"]).encode())
                print(holder.recv(16384).decode())
                """
            let answer = try await Child.run("python3", ["-c", program, hold, node.mount])
            #expect(answer.output.hasPrefix("refused\nci\n") && answer.output.contains("reads 999"), "\(answer)")
            #expect(try await node.sh("echo still > there; cat there").output == "still\n")
        }
    }

    @Test("P6: larder get goes on with the next agent, where it was and with the same version")
    func getGoesOn() async throws {
        try await held { node, _, agent in
            let script = """
                agent=$(cat /proc/\(agent.pid)/task/*/children)
                head -c 40000000 /dev/urandom > x; sha256sum < x
                '\(RunningAgent.program)' get ci/x --socket ../agent.sock 2>/dev/null \
                    | { head -c 1000000; kill -9 $agent; cat; } | sha256sum
                """
            let lines = try await node.sh(script).output.split(separator: "\n")
            #expect(lines.count == 2 && lines[0] == lines[1], "\(lines)")
        }
    }

    /// Runs an agent whose mount a holder keeps, and takes both away after `body`.
    private func held(_ body: (RunningAgent, _ hold: String, _ agent: Child) async throws -> Void) async throws {
        let node = try RunningAgent()
        let hold = node.root + "/run/hold.sock"
        let text = try String(contentsOfFile: node.configuration, encoding: .utf8) + "hold: \(hold)\n"
        try text.write(toFile: node.configuration, atomically: true, encoding: .utf8)
        let holder = try await Child.start(RunningAgent.program, ["hold", "--socket", hold])
        let agent = try await Child.start(
            RunningAgent.program, ["agent", "--config", node.configuration, "--supervise"])
        defer {
            agent.killGroup()
            holder.killGroup()
            node.remove()
        }
        while try await node.larder("status").code != 0 {
            try #require(agent.isRunning && holder.isRunning)
            try await Task.sleep(for: .milliseconds(20))
        }
        try await body(node, hold, agent)
        #expect(try await agent.terminate().code == 0)
        #expect(try await holder.terminate().code == 0)
        let write = try await node.sh("echo > x")
        #expect(write.output.contains("Read-only file system"), "P12: \(write.output)")
    }
}
