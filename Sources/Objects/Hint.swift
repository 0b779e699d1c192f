// SPDX-License-Identifier: Apache-2.0

public import Content
import Peers

/// "These keys will be read soon", as a door takes it.
public struct HintRequest: Sendable, Hashable {
    public var keys: [Key]
    /// Where they will be read; empty: every other site.
    public var sites: [String]
    /// How long from now until they are needed, where that is known.
    public var deadline: Duration?
    /// 0 to 9; from ``urgentPriority`` on it goes before the other hints, never before readers.
    public var priority: Int

    /// The furthest deadline that is told apart, in milliseconds: a year.
    static let deadlineMax = 365 * 86_400_000.0

    /// The priority from which a hint counts as having a deadline.
    public static let urgentPriority = 7

    public init(keys: [Key], sites: [String] = [], deadline: Duration? = nil, priority: Int = 5) {
        self.keys = keys
        self.sites = sites
        self.deadline = deadline
        self.priority = priority
    }

    /// The hint as sites tell it to each other.
    func message(wallMilliseconds: UInt64) -> Hint {
        let urgent = deadline != nil || priority >= HintRequest.urgentPriority
        let milliseconds = deadline.map { UInt64(min(HintRequest.deadlineMax, max(0, $0 / .milliseconds(1)))) }
        return Hint(
            keys: keys,
            priority: urgent ? .deadline : .hinted,
            deadline: milliseconds.map { wallMilliseconds + $0 }
        )
    }
}

/// What a site says to a hint, for one key.
public struct HintReport: Sendable, Hashable {
    public enum State: String, Sendable {
        /// All of it is at the site already.
        case present
        /// It is under way.
        case fetching
        /// No such key yet; it will be fetched when it is published.
        case announced
        /// The site could not be asked; the message says why.
        case failed
    }

    public let site: String
    public let key: Key
    public let state: State
    /// Bytes (decoded) that the site lacks.
    public let missing: UInt64
    /// Seconds until it is there, from the link's rate; nil where nothing is known of it.
    public let eta: Double?
    public let message: String?

    public init(site: String, key: Key, state: State, missing: UInt64, eta: Double?, message: String? = nil) {
        self.site = site
        self.key = key
        self.state = state
        self.missing = missing
        self.eta = eta
        self.message = message
    }

    init(_ answer: HintAnswer) {
        let state: State = answer.size == nil ? .announced : answer.missing == 0 ? .present : .fetching
        self.init(
            site: answer.site,
            key: answer.key,
            state: state,
            missing: answer.missing,
            eta: answer.seconds.map(Double.init)
        )
    }
}
