// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Control

/// `larder hint ci/app/1.tar --deadline 10m`
struct HintVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hint",
        abstract: "Say that keys will be read soon, so that they are under way before.",
        discussion: """
            The sites fetch what they lack, behind readers. A key that does not exist yet is fetched when it is \
            published, so a build may announce what it is about to make.
            """
    )

    @Argument(help: "NAMESPACE/PATH")
    var keys: [String]

    @Option(
        help: ArgumentHelp("Where they will be read; may be repeated. Default: every other site.", valueName: "name"))
    var site: [String] = []

    @Option(help: ArgumentHelp("When they are needed: 10m, or a time such as 2026-03-01T12:00:00Z.", valueName: "time"))
    var deadline: String?

    @Option(help: "0 to 9, higher first, among hints.")
    var priority = 5

    @OptionGroup var options: Options

    func run() async throws {
        try Options.checked(keys)
        guard (0...9).contains(priority) else { throw UsageError(message: "a priority is 0 to 9 and not \(priority)") }
        let hint = HintMessage(
            keys: keys,
            sites: site,
            deadlineSeconds: try deadline.map { try Self.seconds(until: $0) },
            priority: priority
        )
        let answer = try await options.withClient { try await $0.hint(hint) }
        if options.json {
            try Output.json(answer)
        } else {
            Output.table(answer.answers.map(row))
        }
        guard !answer.answers.isEmpty else {
            return Output.line("larder: hint: no other site is known to this agent, so nobody was told")
        }
        if answer.answers.allSatisfy({ $0.state == "failed" }) { throw Ended(status: .unavailable) }
    }

    private func row(_ answer: HintAnswerMessage.Answer) -> [String] {
        var text = answer.state
        if answer.missingBytes > 0 { text += ", \(ByteSize(bytes: answer.missingBytes).rounded) missing" }
        if let eta = answer.etaSeconds { text += ", ETA \(Duration.milliseconds(Int64(min(eta, 1e9) * 1000)).rounded)" }
        if let message = answer.message { text += ": \(message)" }
        return [answer.site, answer.key, text]
    }

    /// Seconds from now until a time, given as one or as a duration; 0 for one that is over.
    static func seconds(until text: String) throws -> Double {
        if let time = Timestamp(parsing: text) {
            return max(0, (Double(time.nanoseconds) - Double(Timestamp.now.nanoseconds)) / 1e9)
        }
        return try Duration(parsing: text) / .seconds(1)
    }
}
