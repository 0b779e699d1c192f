// SPDX-License-Identifier: Apache-2.0

/// Bits per second, as people write the rate of a line: `50Mbit`, `1Gbit`. Decimal, as lines are sold.
public struct BitRate: Hashable, Comparable, Sendable {
    public let bitsPerSecond: UInt64

    public init(bitsPerSecond: UInt64) { self.bitsPerSecond = bitsPerSecond }

    static let units: [(name: String, bits: UInt64)] = [
        ("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000), ("bit", 1),
    ]

    /// A rate from its text; the unit's case does not matter, because `tc` writes `mbit`.
    ///
    /// - Throws: ``AgentError`` `value` with the units there are, and the one that was probably meant.
    public init(parsing text: some StringProtocol) throws(AgentError) {
        let form = "a rate is a number and bit, kbit, Mbit or Gbit (per second), such as 50Mbit"
        guard let quantity = Quantity(text) else { throw AgentError(.value, "'\(text)' is not a rate: \(form)") }
        let unit = quantity.unit.lowercased()
        guard let factor = BitRate.units.first(where: { $0.name.lowercased() == unit })?.bits else {
            let meant = nearestName(to: quantity.unit, among: BitRate.units.map(\.name))
            throw AgentError(.value, "'\(text)' is not a rate: \(form)\(suggestion(meant))")
        }
        guard let bits = quantity.scaled(by: factor), bits >= 8 else {
            throw AgentError(.value, "'\(text)' is not a rate: it has to be a whole number of bits, and at least 8")
        }
        self.init(bitsPerSecond: bits)
    }

    public var bytesPerSecond: UInt64 { bitsPerSecond / 8 }

    public static func < (a: BitRate, b: BitRate) -> Bool { a.bitsPerSecond < b.bitsPerSecond }
}

extension BitRate: CustomStringConvertible {
    /// Exact, in the largest unit that divides it, and read back by ``init(parsing:)``.
    public var description: String {
        for unit in BitRate.units where bitsPerSecond > 0 && bitsPerSecond % unit.bits == 0 {
            return "\(bitsPerSecond / unit.bits)\(unit.name)"
        }
        return "\(bitsPerSecond)bit"
    }
}
