// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite("The program makes and shows certificates", .timeLimit(.minutes(10)))
struct PKITests {
    /// Runs `body` with the files of an agent that does not run yet.
    private func with(_ body: (RunningAgent) async throws -> Void) async throws {
        let agent = try RunningAgent()
        defer { agent.remove() }
        try await body(agent)
    }

    private func pki(_ arguments: String...) async throws -> Outcome {
        try await Child.run(RunningAgent.program, ["pki"] + arguments)
    }

    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test("P10: an authority is made, issues, and what it issued says what was asked for")
    func roundTrip() async throws {
        try await with { agent in
            let (ca, out) = (agent.root + "/ca", agent.root + "/tls")
            #expect(try await pki("init", ca, "--name", "ours").code == 0)
            let issued = try await pki(
                "issue", ca, "--site", "basement", "--agent", "one", "--namespace", "ci", "--namespace",
                "release:ro", "--days", "30", "--out", out
            )
            #expect(issued.code == 0, "\(issued.output)")
            #expect(try mode(ca + "/ca.key") == 0o600 && mode(out + "/tls.key") == 0o600)
            let shown = try await pki("show", out + "/tls.crt", ca + "/ca.crt")
            #expect(shown.code == 0)
            for words in ["basement", "one", "ci rw, release ro", "an authority", "CN=ours, in \(ca)/ca.crt"] {
                #expect(shown.output.contains(words), "\(words) in:\n\(shown.output)")
            }
            let again = try await pki(
                "issue", ca, "--site", "basement", "--agent", "one", "--out", out
            )
            #expect(again.code == 7 && again.output.contains("never overwritten"))
            #expect(try await pki("init", ca).code == 7)
        }
    }

    @Test("Bad names, rights and files are told, with the status of bad arguments")
    func bad() async throws {
        try await with { agent in
            let ca = agent.root + "/ca"
            #expect(try await pki("init", ca).code == 0)
            let out = agent.root + "/tls"
            for arguments in [
                ["--site", "a b", "--agent", "one"], ["--site", "s", "--agent", "a/b"],
                ["--site", "s", "--agent", "one", "--namespace", "ci:all"],
                ["--site", "s", "--agent", "one", "--days", "0"],
            ] {
                let result = try await Child.run(
                    RunningAgent.program, ["pki", "issue", ca, "--out", out] + arguments)
                #expect(result.code == 2, "\(arguments): \(result.output)")
            }
            #expect(!FileManager.default.fileExists(atPath: out))
            let missing = try await pki("show", "/nonexistent/tls.crt")
            #expect(missing.code == 2 && missing.output.contains("/nonexistent/tls.crt"))
        }
    }

    @Test("P10: an agent speaks TLS with what was issued, and doctor says how long it is good and what it lacks")
    func agent() async throws {
        try await with { agent in
            let (ca, out) = (agent.root + "/ca", agent.root + "/tls")
            _ = try await pki("init", ca)
            let arguments = ["--site", "basement", "--agent", "one", "--namespace", "ci:ro", "--days", "10"]
            _ = try await Child.run(RunningAgent.program, ["pki", "issue", ca, "--out", out] + arguments)
            let lines = "\ntls: {certificate: \(out)/tls.crt, key: \(out)/tls.key, trust: [\(ca)/ca.crt]}\n"
            let text = try String(contentsOfFile: agent.configuration, encoding: .utf8) + lines
            try text.write(toFile: agent.configuration, atomically: true, encoding: .utf8)
            let process = try await agent.start()
            let doctor = try await Child.run(
                RunningAgent.program,
                ["doctor", "--socket", agent.root + "/run/agent.sock"]
            )
            #expect(doctor.code == 0, "\(doctor.output)")
            #expect(doctor.output.contains("basement/one, ci ro: it ends in 9 days"), "\(doctor.output)")
            #expect(doctor.output.contains("allows only reading 'ci'"), "\(doctor.output)")
            _ = try await process.terminate()
        }
    }
}
