// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A program run by a test: in a process group of its own, watched by a thread of its own.
///
/// Foundation's `Process` waits by a run loop on whatever thread it is called, and that has hung a whole run. Here no
/// thread of a pool waits, and who waits for a child can be cancelled (a test's time limit does that): the group is
/// then killed, and the wait ends at once even where the kernel cannot end the child yet.
public final class Child: Sendable {
    public enum Input: Sendable {
        case null
        /// Open until `closeInput()`.
        case pipe
    }

    public enum Output: Sendable {
        /// Standard output and error as one text.
        case collected
        case discarded
        /// The test's own.
        case inherited
    }

    /// More than this of a child's output is read and dropped.
    static let outputLimit = 16 << 20

    /// The process, which leads the group of the same number.
    public let pid: Int32
    let state: ChildState

    init(pid: Int32, state: ChildState) {
        self.pid = pid
        self.state = state
    }

    /// Starts `program` (looked for in `PATH` where it has no slash). With `endsGroup`, what it leaves running in its
    /// group is killed once it ends itself.
    /// - Throws: `SpawnError`.
    public static func start(
        _ program: String,
        _ arguments: [String] = [],
        in directory: String? = nil,
        input: Input = .null,
        output: Output = .inherited,
        endsGroup: Bool = false
    ) async throws -> Child {
        // Even the start may have to wait for a file system that this very process serves.
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                do {
                    let watch = try ChildWatch(program, arguments, in: directory, input: input, output: output)
                    watch.endsGroup = endsGroup
                    continuation.resume(returning: Child(pid: watch.pid, state: watch.state))
                    watch.run()
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    /// Runs `program` to its end.
    /// - Throws: `SpawnError`; `CancellationError` where the waiting task was cancelled, with the group killed.
    public static func run(
        _ program: String,
        _ arguments: [String] = [],
        in directory: String? = nil
    ) async throws -> Outcome {
        try await start(program, arguments, in: directory, output: .collected, endsGroup: true).wait()
    }

    /// Runs a script with bash.
    public static func sh(_ script: String, in directory: String? = nil) async throws -> Outcome {
        try await run("/bin/bash", ["-c", script], in: directory)
    }

    /// Nil while it runs.
    public var outcome: Outcome? { state.outcome }
    public var isRunning: Bool { outcome == nil }

    /// Waits for its end.
    /// - Throws: `CancellationError`, with the group killed.
    public func wait() async throws -> Outcome {
        try await state.wait(for: nil) { self.killGroup() }
        guard let outcome else { throw CancellationError() }
        return outcome
    }

    /// Waits until its collected output has `text`; false if it ended without.
    /// - Throws: `CancellationError`, with the group killed.
    public func wait(forOutput text: String) async throws -> Bool {
        try await state.wait(for: text) { self.killGroup() }
        return state.hasWritten(text)
    }

    /// Sends a signal to the process, if it still is; to it alone, not to its group.
    public func kill(_ signal: Int32) { state.whileNotReaped { _ = Glibc.kill(pid, signal) } }

    /// Sends SIGTERM to the process and waits for its end.
    public func terminate() async throws -> Outcome {
        kill(SIGTERM)
        return try await wait()
    }

    /// Kills the process and what it has started in its group, also what outlived it.
    public func killGroup() { _ = Glibc.kill(-pid, SIGKILL) }

    /// The child reads an end of file.
    public func closeInput() { state.closeInput() }
}
