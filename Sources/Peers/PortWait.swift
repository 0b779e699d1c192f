// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import ServiceLifecycle

/// A port that may still be somebody else's for a while: a predecessor of this process keeps its sockets for as long as
/// it takes to leave, or, where it was killed, until the kernel has let its last thread go.
public struct PortWait: Sendable {
    /// More than a holder gives an agent that is to leave before it kills it (10 s).
    public static let predecessorLimit = Duration.seconds(15)
    /// Short against what a client notices, and no load.
    private static let pause = Duration.milliseconds(50)

    private let limit: Duration
    private let onWait: @Sendable () -> Void

    /// - Parameters:
    ///   - limit: how long the port may be taken.
    ///   - onWait: told once, where it is.
    public init(limit: Duration, onWait: @escaping @Sendable () -> Void = {}) {
        self.limit = limit
        self.onWait = onWait
    }

    /// Runs what binds a port, again where the port is taken. Returns without it where graceful shutdown begins.
    ///
    /// - Throws: what `body` throws, `EADDRINUSE` after the limit only.
    public func run(_ body: () async throws -> Void) async throws {
        let deadline = ContinuousClock.now + limit
        var isTold = false
        while true {
            do {
                return try await body()
            } catch let error as IOError where error.errnoCode == EADDRINUSE && ContinuousClock.now < deadline {
                if !isTold { onWait() }
                isTold = true
                try await Task.sleep(for: PortWait.pause)
                if Task.isShuttingDownGracefully { return }
            }
        }
    }
}
