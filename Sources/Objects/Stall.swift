// SPDX-License-Identifier: Apache-2.0

/// Bounds waiting by progress and not by time: a slow source is waited for, one that hangs or trickles is not.
enum Stall {
    /// Looks at the progress in one limit: an end comes at most this part of it late.
    private static let looksPerLimit = 20

    /// Runs `body` for as long as `measure` changes within every `limit`.
    ///
    /// - Parameters:
    ///   - measure: what grows with progress; asked again and again.
    ///   - error: what to throw after a limit without progress; nil: to go on.
    static func bounded<R: Sendable>(
        by limit: Duration,
        measure: @escaping @Sendable () -> Int,
        error: @escaping @Sendable () -> ObjectError?,
        _ body: @escaping @Sendable () async throws -> R
    ) async throws -> R {
        try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                var (last, since) = (measure(), ContinuousClock.now)
                while true {
                    try await Task.sleep(for: limit / looksPerLimit)
                    let now = measure()
                    if now != last {
                        (last, since) = (now, .now)
                    } else if ContinuousClock.now - since >= limit {
                        if let error = error() { throw error }
                        since = .now
                    }
                }
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }
}
