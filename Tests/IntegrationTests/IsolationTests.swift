// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(10)))
struct IsolationTests {
    @Test("S40, P10: a volume's control socket gives, lists, changes and removes keys of its own namespace only")
    func sockets() async throws {
        let node = try RunningAgent(volumes: ["ci", "other"])
        defer { node.remove() }
        let agent = try await node.start()
        let secret = node.root + "/run/other/mnt/dir/secret"
        let made = try await node.sh(
            "mkdir ../../other/mnt/dir && echo 'the secret' > ../../other/mnt/dir/secret; cat \(secret)")
        #expect(made.output == "the secret\n")
        for arguments in [
            ["get", "other/dir/secret"], ["ls", "other/dir"], ["ls", "other"], ["rm", "other/dir/secret"],
            ["stat", "other/dir/secret"], ["pin", "other/dir/secret"], ["status", "other/dir/secret"],
            ["put", "other/dir/new", "/etc/hostname"], ["get", "ci/../other/dir/secret"],
        ] {
            let run = try await Child.run(
                RunningAgent.program, [arguments[0], "--socket", node.socket] + arguments.dropFirst())
            #expect(run.code != 0, "\(arguments): \(run.output)")
            #expect(!run.output.contains("the secret"), "\(arguments): \(run.output)")
        }
        // What the path says after decoding counts, not how it is spelled.
        for path in [
            "objects/other/dir/secret", "objects/ci%2F..%2Fother/dir/secret", "objects/ci/..%2f..%2fother/secret",
        ] {
            let run = try await node.sh("curl -sS --path-as-is --unix-socket \(node.socket) http://larder/v1/\(path)")
            #expect(!run.output.contains("the secret"), "\(path): \(run.output)")
        }
        #expect(try await node.sh("cat \(secret); ls ../../other/mnt/dir").output == "the secret\nsecret\n")
        // The same calls do what they are for at the volume's own socket.
        let own = try await Child.run(
            RunningAgent.program,
            ["get", "--socket", node.root + "/run/other/agent.sock", "other/dir/secret", "-"])
        #expect(own.output.contains("the secret"), "\(own.output)")
        _ = try await agent.terminate()
    }
}
