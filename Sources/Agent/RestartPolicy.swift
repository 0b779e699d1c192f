// SPDX-License-Identifier: Apache-2.0

/// When an agent that died is started again. Times are milliseconds.
struct RestartPolicy: Sendable {
    enum Decision: Hashable, Sendable {
        case start(afterMilliseconds: UInt64)
        /// It cannot succeed: end with its status.
        case end(status: Int32)
    }

    /// One that lived for less is not a success: a start and the requests that a predecessor left take a part of it.
    static let earlyDeath: UInt64 = 500
    /// One that ended by itself found something that it cannot live with, such as a port that another process keeps;
    /// before this it was its start that failed.
    static let earlyEnd: UInt64 = 30_000
    /// As many early deaths in a row are answered at once: what a `kill` or the kernel's OOM killer does to a good agent.
    static let atOnceCount = 3
    /// The longest pause: a holder keeps requests waiting for a minute, and a caller waits for several of them.
    static let pauseMax: UInt64 = 2_000
    /// How `larder agent` ends where its configuration is wrong: starting it again would not help.
    static let usageStatus: Int32 = 2

    private var earlyDeaths = 0

    mutating func ended(status: Int32, lived: UInt64) -> Decision {
        if status == RestartPolicy.usageStatus { return .end(status: status) }
        let endedByItself = status > 0 && status < 128
        let early = endedByItself ? RestartPolicy.earlyEnd : RestartPolicy.earlyDeath
        earlyDeaths = lived < early ? earlyDeaths + 1 : 0
        guard earlyDeaths > RestartPolicy.atOnceCount else { return .start(afterMilliseconds: 0) }
        let doublings = min(earlyDeaths - RestartPolicy.atOnceCount - 1, 10)
        return .start(afterMilliseconds: min(100 << UInt64(doublings), RestartPolicy.pauseMax))
    }
}
