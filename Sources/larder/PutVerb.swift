// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Control
import Glibc

/// `docker save app | larder put ci/app/1.tar`
struct PutVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Write an object from a file or a pipe.",
        discussion: """
            The object appears when all of it has arrived; one that was there stays until then. A producer that dies \
            in the middle of a pipe looks like one that ended: a tar, zip, gzip or zstd stream without its end is \
            kept, marked 'torn', and put ends with status 1. Use 'set -o pipefail' too.
            """
    )

    @Argument(help: "NAMESPACE/PATH")
    var key: String

    @Argument(help: "The file to read; '-', the default, is stdin.")
    var file = "-"

    @Flag(help: "End only when the object is on the disk and survives power loss.")
    var durable = false

    @OptionGroup var options: Options

    struct Result: Encodable {
        let result: PutMessage
        let bytesPerSecond: Double
        let torn: Bool
    }

    func run() async throws {
        try Options.checked([key])
        let input = try Input(file)
        defer { input.close() }
        let progress = Progress("put \(key)", total: input.size)
        let interruption = Interruption { [key] in "larder: put \(key): interrupted, nothing was published" }
        defer { interruption.end() }
        do {
            let message = try await options.withClient { client in
                try await client.put(
                    key,
                    bytes: DescriptorBytes(input.descriptor) { progress.add($0) },
                    length: input.size,
                    mode: input.mode,
                    modified: nil,
                    isDurable: durable
                )
            }
            progress.end()
            try close(message, progress)
        } catch let error as Ended {
            throw error
        } catch {
            progress.end()
            guard let (status, text) = Failure.known(error) else { throw error }
            Output.line("larder: put \(key): failed after \(progress.summary): \(text)")
            throw Ended(status: status)
        }
    }

    private func close(_ message: PutMessage, _ progress: Progress) throws {
        let isTorn = message.entry.torn
        if options.json {
            let seconds = max(message.seconds, 0.001)
            try Output.json(Result(result: message, bytesPerSecond: Double(message.bytes) / seconds, torn: isTorn))
        }
        let state =
            isTorn
            ? "TORN: the stream lacks its end, so its writer was probably cut off; it is kept, marked torn"
            : message.durable ? "published, durable" : "published"
        Output.line("larder: put \(key): \(progress.summary), \(state)")
        if isTorn { throw Ended(status: .failed) }
    }
}

/// Where `put` reads from.
struct Input {
    let descriptor: CInt
    /// Bytes to come, where that is known.
    let size: UInt64?
    /// Permission bits, where it is a file.
    let mode: UInt16?
    private let isOurs: Bool

    /// - Throws: ``UsageError`` where there is nothing that can be read.
    init(_ file: String) throws {
        isOurs = file != "-"
        if isOurs {
            descriptor = open(file, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw UsageError(message: "'\(file)' cannot be read: \(String(cString: strerror(errno)))")
            }
        } else {
            descriptor = STDIN_FILENO
            guard isatty(STDIN_FILENO) == 0 else {
                throw UsageError(message: "stdin is a terminal: name a FILE, or pipe into put")
            }
        }
        let facts = FileFacts(descriptor: descriptor)
        switch facts?.kind {
        case .file:
            size = (facts?.size ?? 0) - min(facts?.size ?? 0, UInt64(max(0, lseek(descriptor, 0, SEEK_CUR))))
            mode = isOurs ? facts.map { $0.mode & 0o777 } : nil
        case .directory:
            throw UsageError(message: "'\(file)' is a directory: pack it, as in 'tar -c \(file) | larder put KEY'")
        case .other, nil:
            size = nil
            mode = nil
        }
    }

    func close() { if isOurs { _ = Glibc.close(descriptor) } }
}
