// SPDX-License-Identifier: Apache-2.0

/// The name that an agent keeps in its store for as long as the store lives: 128 random bits.
public struct AgentID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new id from the system's generator.
    public static func random() -> AgentID {
        var generator = SystemRandomNumberGenerator()
        return AgentID(high: generator.next(), low: generator.next())
    }

    /// An id from its 32 hexadecimal digits, or nil where the text is anything else.
    public init?(hex: some StringProtocol) {
        guard hex.utf8.count == 32, let high = UInt64(hex.prefix(16), radix: 16),
            let low = UInt64(hex.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// The 32 lower-case hexadecimal digits.
    public var hex: String {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { hexText($0) }
    }

    public var description: String { String(hex.prefix(8)) }

    /// The bits are random, so half of them hash as well as all; vectors are compared every second.
    public func hash(into hasher: inout Hasher) { hasher.combine(low) }

    public static func < (a: AgentID, b: AgentID) -> Bool { (a.high, a.low) < (b.high, b.low) }
}

/// A reading of a hybrid logical clock: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
///
/// Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases", 2014.
public struct HybridTime: Hashable, Comparable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public init(milliseconds: UInt64) { self.rawValue = milliseconds << 16 }

    /// Milliseconds since 1970.
    public var milliseconds: UInt64 { rawValue >> 16 }

    public static func < (a: HybridTime, b: HybridTime) -> Bool { a.rawValue < b.rawValue }
}

/// Which of two entries of one key wins: the later clock, and between equal clocks the higher agent id.
public struct Version: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let time: HybridTime
    public let agent: AgentID

    public init(time: HybridTime, agent: AgentID) {
        self.time = time
        self.agent = agent
    }

    public var description: String { "\(time.rawValue)@\(agent)" }

    public static func < (a: Version, b: Version) -> Bool { (a.time, a.agent) < (b.time, b.agent) }
}

/// The hybrid logical clock of one agent: a value that is told the wall clock and what others' clocks read.
public struct HybridClock: Sendable {
    /// How far ahead of our wall clock another's reading may be before it is refused (DESIGN §8), in milliseconds.
    public static let driftMax: UInt64 = 60_000

    private var last: UInt64 = 0

    /// A clock that continues above `last`, a reading kept from before.
    public init(after last: HybridTime = HybridTime(rawValue: 0)) { self.last = last.rawValue }

    /// The highest reading given or observed so far.
    public var reading: HybridTime { HybridTime(rawValue: last) }

    /// The next reading: above every reading given or observed so far.
    public mutating func next(wallMilliseconds: UInt64) -> HybridTime {
        last = max(last + 1, wallMilliseconds << 16)
        return HybridTime(rawValue: last)
    }

    /// Takes note of another agent's reading.
    ///
    /// - Throws: ``ContentError`` `clockDrift` where it is over ``driftMax`` ahead of our wall clock; nothing changes.
    public mutating func observe(_ time: HybridTime, wallMilliseconds: UInt64) throws(ContentError) {
        try HybridClock.check(time, wallMilliseconds: wallMilliseconds)
        last = max(last, time.rawValue)
    }

    /// - Throws: ``ContentError`` `clockDrift` where a reading is over ``driftMax`` ahead of our wall clock.
    public static func check(_ time: HybridTime, wallMilliseconds: UInt64) throws(ContentError) {
        guard time.milliseconds <= wallMilliseconds + driftMax else {
            throw ContentError(
                .clockDrift,
                "a peer's clock is \((time.milliseconds - wallMilliseconds) / 1000) s ahead of this node's; "
                    + "\(driftMax / 1000) s are allowed: check NTP on both nodes"
            )
        }
    }
}
