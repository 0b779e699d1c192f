// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Control
import Glibc
import NIOCore

/// `larder get ci/app/1.tar | docker load`
struct GetVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Read an object into a file or a pipe.",
        discussion: """
            A FILE appears, or is replaced, when all of the object is in it. Into a pipe bytes go as they arrive: \
            where get fails, the reader has seen a part. A reader that closes the pipe early ends get with status 0. \
            Where the agent is replaced meanwhile, get goes on where it was with the next one, with the same version.
            """
    )

    @Argument(help: "NAMESPACE/PATH")
    var key: String

    @Argument(help: "The file to write; '-', the default, is stdout.")
    var file = "-"

    @OptionGroup var options: Options

    struct Result: Encodable {
        let operation: OperationMessage
        let seconds: Double
        let bytesPerSecond: Double
        let torn: Bool
        /// The reader closed the pipe before the end.
        let endedEarly: Bool
    }

    func run() async throws {
        try Options.checked([key])
        let target = try Target(file)
        let interruption = Interruption { [key] in
            "larder: get \(key): interrupted"
        } cleanUp: {
            target.discard()
        }
        defer { interruption.end() }
        var progress = Progress("get \(key)", total: nil)
        do {
            try await options.withClient { client in
                let body = try await client.get(key)
                progress.end()
                progress = Progress("get \(key)", total: body.size)
                let (last, isWhole) = try await receive(body, from: client, into: target, progress)
                if isWhole { try target.keep() }
                progress.end()
                try await close(last, client, progress, endedEarly: !isWhole)
            }
        } catch {
            progress.end()
            target.discard()
            guard let (status, text) = Failure.known(error) else { throw error }
            Output.line("larder: get \(key): failed after \(progress.summary): \(text)")
            throw Ended(status: status)
        }
    }

    /// How long an agent that went away is waited for: as long as a read may stall.
    private static let patience = Duration.seconds(60)
    private static let pause = Duration.milliseconds(100)

    /// The agent went away, and another may come.
    private static func isTransient(_ error: ControlError) -> Bool {
        [.interrupted, .unreachable, .cancelled].contains(error.code)
    }

    /// Receives all of an object, of several agents where they follow one another.
    ///
    /// - Returns: the last answer, and false where the reader of the pipe wanted no more.
    private func receive(
        _ first: ObjectBody, from client: ControlClient, into target: Target, _ progress: Progress
    ) async throws -> (ObjectBody, Bool) {
        var body = first
        while true {
            do {
                return (body, try await receive(body, into: target, progress))
            } catch let error as ControlError where GetVerb.isTransient(error) && progress.bytes < first.size {
                body = try await again(client, from: progress.bytes, of: first.version, after: error)
            }
        }
    }

    /// Asks for the rest until an agent answers.
    ///
    /// - Throws: `failure` where none does in time; `exists` where the key names another version by now.
    private func again(
        _ client: ControlClient, from offset: UInt64, of version: String, after failure: ControlError
    ) async throws -> ObjectBody {
        let deadline = ContinuousClock.now + GetVerb.patience
        while ContinuousClock.now < deadline {
            try await Task.sleep(for: GetVerb.pause)
            do {
                let body = try await client.get(key, from: offset)
                guard body.version == version else {
                    throw ControlError(.exists, "\(key) names another version since the agent restarted: begin again")
                }
                return body
            } catch let error as ControlError where GetVerb.isTransient(error) {
                continue
            }
        }
        throw failure
    }

    /// - Returns: false where the reader of the pipe wanted no more.
    private func receive(_ body: ObjectBody, into target: Target, _ progress: Progress) async throws -> Bool {
        let sink = DescriptorSink(target.descriptor)
        var isOpen = true
        try await body.forEach { piece in
            switch try await sink.write(piece) {
            case .written: progress.add(piece.readableBytes)
            case .closed: isOpen = false
            }
            return isOpen
        }
        return isOpen
    }

    private func close(
        _ body: ObjectBody,
        _ client: ControlClient,
        _ progress: Progress,
        endedEarly: Bool
    ) async throws {
        let operation = try await client.operation(body.operation)
        if options.json {
            let seconds = progress.elapsed / .seconds(1)
            let result = Result(
                operation: operation,
                seconds: seconds,
                bytesPerSecond: Double(progress.bytes) / max(seconds, 0.001),
                torn: body.isTorn,
                endedEarly: endedEarly
            )
            // Where stdout carries the object, the JSON is the one closing line.
            if file == "-" { return try Output.json(result, to: STDERR_FILENO) }
            try Output.json(result)
        }
        var line = "larder: get \(key): \(progress.summary), \(ByteSize(bytes: operation.localBytes).rounded) from here"
        if operation.fetchedBytes > 0 {
            let waited = Duration.milliseconds(Int64(operation.waitedSeconds * 1000))
            line += ", \(ByteSize(bytes: operation.fetchedBytes).rounded) from other agents, waited \(waited.rounded)"
        }
        if endedEarly { line += "; the reader closed the pipe early" }
        if body.isTorn { line += "; TORN: the object lacks its end" }
        Output.line(line)
    }
}
