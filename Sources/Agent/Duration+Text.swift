// SPDX-License-Identifier: Apache-2.0

extension Duration {
    private static let units: [(name: String, nanoseconds: UInt64)] = [
        ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ]

    /// A duration from its text: `250ms`, `60s`, `1.5h`, `1h30m`.
    ///
    /// - Throws: ``AgentError`` `value`. A bare number is refused, because it does not say of what.
    public init(parsing text: some StringProtocol) throws(AgentError) {
        let form = "a duration is a number and ms, s, m, h or d, such as 60s or 1h30m"
        var rest = Substring(text)
        var sum: UInt64 = 0
        repeat {
            guard let (quantity, following) = Quantity.leading(rest) else {
                throw AgentError(.value, "'\(text)' is not a duration: \(form)")
            }
            guard let unit = Duration.units.first(where: { $0.name == quantity.unit }) else {
                throw AgentError(.value, "'\(text)' is not a duration: \(form)")
            }
            // 100 years: what Int64 nanoseconds hold, and far more than anybody waits.
            guard let part = quantity.scaled(by: unit.nanoseconds), part <= 3_155_760_000_000_000_000 - sum else {
                throw AgentError(.value, "'\(text)' is longer than 100 years or finer than a nanosecond")
            }
            sum += part
            rest = following
        } while !rest.isEmpty
        self = .nanoseconds(Int64(sum))
    }

    /// Exact to the millisecond, in the largest unit that divides it, and read back by ``init(parsing:)``.
    public var text: String {
        let nanoseconds = UInt64(max(0, self / .nanoseconds(1)))
        for unit in Duration.units where nanoseconds > 0 && nanoseconds % unit.nanoseconds == 0 {
            return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
        }
        return nanoseconds == 0 ? "0s" : "\(nanoseconds / 1_000_000)ms"
    }

    /// For people: `0.42 s`, `12.3 s`, `4 min 05 s`.
    public var rounded: String {
        let seconds = self / .seconds(1)
        guard seconds >= 59.95 else { return "\(fixedText(seconds, decimals: seconds < 9.995 ? 2 : 1)) s" }
        let whole = Int64(seconds.rounded())
        let (minutes, rest) = (whole / 60, whole % 60)
        let twoDigits = { (value: Int64) in value < 10 ? "0\(value)" : "\(value)" }
        return minutes < 60
            ? "\(minutes) min \(twoDigits(rest)) s" : "\(minutes / 60) h \(twoDigits(minutes % 60)) min"
    }
}
