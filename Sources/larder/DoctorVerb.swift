// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Control
import Glibc

/// `larder doctor`
struct DoctorVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look for what is wrong, and say what to do about it.",
        discussion: "Ends with status 1 where something fails; warnings do not count."
    )

    @OptionGroup var options: Options

    func run() async throws {
        let checks = try await checks()
        if options.json {
            try Output.json(ChecksMessage(checks: checks))
        } else {
            Output.table(
                checks.map { [$0.state.rawValue, $0.name, $0.message] + ($0.remedy.map { ["-> \($0)"] } ?? []) })
        }
        if checks.contains(where: { $0.state == .fail }) { throw Ended(status: .failed) }
    }

    private func checks() async throws -> [CheckMessage] {
        let socket = try SocketPath.find(given: options.socket)
        do {
            let answer = try await ControlClient.with(socket: socket) { try await $0.checks() }
            return [CheckMessage("socket", .ok, "an agent answers at '\(socket)'")] + answer.checks
        } catch let error as ControlError {
            // No agent: what can be seen from outside often says why.
            let start = "start it with 'larder agent --config FILE'; its log says what stops it"
            return [CheckMessage("socket", .fail, error.message, remedy: start), Self.fuseDevice()]
        }
    }

    private static func fuseDevice() -> CheckMessage {
        if access("/dev/fuse", F_OK) == 0 { return CheckMessage("fuse", .ok, "/dev/fuse is there") }
        return CheckMessage(
            "fuse",
            .fail,
            "/dev/fuse is missing here",
            remedy: "'modprobe fuse' on the node; in a container, give it the device (the agent needs it, jobs do not)"
        )
    }
}
