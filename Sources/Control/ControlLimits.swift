// SPDX-License-Identifier: Apache-2.0

/// The bounds on what one control socket does, each with its reason.
enum ControlLimits {
    /// Bytes that move between a connection and the cache at a time: large enough that a thread hop is nothing, small
    /// enough that all requests, two pieces each, stay within half of the default memory budget.
    static let pieceByteCount = 1 << 20
    /// Requests that one socket serves at once; more are refused as `busy`.
    static let requestCount = 64
    /// Bytes of a JSON body: a thousand keys of the greatest length fit.
    static let bodyByteCount = 2 << 20
    /// Keys of one hint.
    static let hintKeyCount = 1000
    /// Entries of one page.
    static let pageEntryCount = 1000
    /// The longest wait for a key: a day, which no job lasts.
    static let waitSeconds = 86_400.0
    /// How long `wait` waits where it is not told.
    static let waitDefault = Duration.seconds(600)
}
