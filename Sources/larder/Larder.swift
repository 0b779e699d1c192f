// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

/// The one executable: the agent, and a verb a file for people and jobs.
@main
struct Larder: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "larder",
        abstract: "A node-local cache for CI on Kubernetes.",
        discussion: """
            A KEY is NAMESPACE/PATH, such as ci/app/1.tar. Verbs speak to the agent of this node over its control \
            socket: --socket PATH, else LARDER_SOCKET, else /run/larder/agent.sock, else the one \
            /run/larder/*/agent.sock.

            put, get and wait end with one line on stderr. --json gives results as JSON on stdout, or on stderr where \
            stdout carries an object.

            Exit status:
            \(ExitStatus.table)
            """,
        subcommands: [
            AgentVerb.self, HoldVerb.self, PutVerb.self, GetVerb.self, ListVerb.self, StatVerb.self, RemoveVerb.self,
            HintVerb.self, WaitVerb.self, PinVerb.self, UnpinVerb.self, StatusVerb.self, WhereVerb.self,
            DoctorVerb.self, PKIVerb.self,
            VersionVerb.self,
        ]
    )

    static func main() async {
        // A closed pipe is an answer of write(2) and no reason to die without a word.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            Glibc.exit(Failure.report(error).rawValue)
        }
    }
}
