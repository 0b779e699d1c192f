// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(5)))
struct CrashTests {
    @Test("P1, P4: after kill -9 at a random moment every key is whole or absent, and what was published is there")
    func killed() async throws {
        let seed = UInt64.random(in: 1...1_000_000)
        print("seed of kill moments: \(seed)")
        var state = seed
        let node = try RunningAgent()
        defer { node.remove() }
        var published: [String: String] = [:]
        for round in 1...4 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let agent = try await node.start()
            for (name, digest) in published {
                #expect(try await node.sh("sha256sum < \(name)").output == digest, "\(name) after round \(round - 1)")
            }
            let kept = try await node.sh("head -c 3000000 /dev/urandom > kept\(round); sha256sum < kept\(round)")
            #expect(try await node.larder("wait", "ci/kept\(round)", "--timeout", "20s").code == 0)
            published["kept\(round)"] = kept.output
            async let cut = node.sh("while head -c 40000000 /dev/urandom > cut$((n += 1)); do :; done 2>/dev/null")
            try await Task.sleep(for: .milliseconds(100 + Int(state >> 33) % 900))
            agent.kill(SIGKILL)
            _ = try await agent.wait()
            _ = try await cut
        }
        let agent = try await node.start()
        let sizes = try await node.sh(
            "stat -c %s cut* 2>/dev/null | sort -u; cat cut* 2>/dev/null | wc -c; ls cut* | wc -l")
        let lines = sizes.output.split(separator: "\n").compactMap { Int($0) }
        if lines.count == 3 {
            #expect(lines[0] == 40_000_000, "a key names a part of what was written: \(sizes.output)")
            #expect(lines[1] == lines[2] * 40_000_000)
        }
        #expect(try await agent.terminate().code == 0)
    }

    @Test(
        "A second agent on the same store is told who holds it, and SIGTERM leaves no mount behind (P12: nor a way to write)"
    )
    func secondAgent() async throws {
        let node = try RunningAgent()
        defer { node.remove() }
        let agent = try await node.start()
        let second = try await Child.run(RunningAgent.program, ["agent", "--config", node.configuration])
        #expect(second.code == 1)
        #expect(second.output.contains("process \(agent.pid)"), "\(second.output)")
        _ = try await agent.terminate()
        let write = try await node.sh("echo > x")
        #expect(write.output.contains("Read-only file system"), "\(write.output)")
    }

    @Test("put and get stream through pipes, and every refusal has its exit code")
    func pipes() async throws {
        let node = try RunningAgent()
        defer { node.remove() }
        let agent = try await node.start()
        let program = RunningAgent.program
        let pipe = """
            head -c 30000000 /dev/urandom > ../../../x
            \(program) put ci/p/x --socket ../agent.sock < ../../../x 2>&1 | grep -c 'larder: put ci/p/x: 30.0 MB'
            \(program) get ci/p/x --socket ../agent.sock 2>/dev/null | cmp - ../../../x && cmp p/x ../../../x && echo same
            """
        #expect(try await node.sh(pipe).output == "1\nsame\n")
        #expect(try await node.larder("get", "ci/none").code == 3)
        #expect(try await node.larder("stat", "ci/a/../b").code == 2)
        #expect(try await node.larder("wait", "ci/none", "--timeout", "50ms").code == 6)
        #expect(try await node.larder("put", "elsewhere/x", "/dev/null").code != 0)
        _ = try await agent.terminate()
        #expect(try await node.larder("status").code == 5)
    }
}
