// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// The parent of every task that outlives the request that began it: flights, ingests, prefetches.
///
/// `run()` is the body of the service; when it is cancelled, so is everything under way.
final class Jobs: Sendable {
    private let stream: AsyncStream<@Sendable () async -> Void>
    private let continuation: AsyncStream<@Sendable () async -> Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    /// - Returns: false where the agent is stopping; the job will not run.
    func submit(_ job: @escaping @Sendable () async -> Void) -> Bool {
        if case .terminated = continuation.yield(job) { return false }
        return true
    }

    /// Runs what is submitted until `stop()` or cancellation.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await job in stream {
                group.addTask { await job() }
            }
            group.cancelAll()
        }
    }

    func stop() { continuation.finish() }
}
