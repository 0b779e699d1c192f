// SPDX-License-Identifier: Apache-2.0

/// A number of bytes, as people write and read it: `100GiB`, `1.5 GB`, `4096`.
public struct ByteSize: Hashable, Comparable, Sendable {
    public let bytes: UInt64

    public init(bytes: UInt64) { self.bytes = bytes }

    /// Units by name. Kubernetes' short forms (`Gi`) are the binary ones.
    static let units: [(name: String, bytes: UInt64)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000),
        ("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("B", 1),
    ]

    /// A size from its text.
    ///
    /// - Throws: ``AgentError`` `value` with the units there are, and the one that was probably meant.
    public init(parsing text: some StringProtocol) throws(AgentError) {
        let form = "a size is a number and KiB, MiB, GiB, TiB, kB, MB, GB or TB, such as 100GiB, or plain bytes"
        guard let quantity = Quantity(text) else { throw AgentError(.value, "'\(text)' is not a size: \(form)") }
        guard let factor = quantity.unit.isEmpty ? 1 : ByteSize.units.first(where: { $0.name == quantity.unit })?.bytes
        else {
            let meant = nearestName(to: quantity.unit, among: ByteSize.units.map(\.name))
            throw AgentError(.value, "'\(text)' is not a size: \(form)\(suggestion(meant))")
        }
        guard let bytes = quantity.scaled(by: factor) else {
            throw AgentError(.value, "'\(text)' is not a whole number of bytes below 16 EiB")
        }
        self.init(bytes: bytes)
    }

    /// For people: three digits and a decimal unit, `1.18 GB`.
    public var rounded: String { roundedText(Double(bytes), units: ["B", "kB", "MB", "GB", "TB", "PB"]) }

    public static func < (a: ByteSize, b: ByteSize) -> Bool { a.bytes < b.bytes }
}

extension ByteSize: CustomStringConvertible {
    /// Exact, in the largest unit that divides it, and read back by ``init(parsing:)``.
    public var description: String {
        for unit in ByteSize.units.prefix(8) where bytes > 0 && bytes % unit.bytes == 0 {
            return "\(bytes / unit.bytes)\(unit.name)"
        }
        return "\(bytes)"
    }
}

/// Three significant digits and the unit, in steps of a thousand.
func roundedText(_ value: Double, units: [String]) -> String {
    var value = value
    var unit = 0
    while value >= 999.5, unit < units.count - 1 {
        value /= 1000
        unit += 1
    }
    let decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
    return "\(fixedText(value, decimals: decimals)) \(units[unit])"
}

/// A number with so many digits behind its point; without Foundation's formatters, which are not cheap.
func fixedText(_ value: Double, decimals: Int) -> String {
    let scale = (0..<decimals).reduce(1.0) { power, _ in power * 10 }
    guard value.isFinite, abs(value) * scale < 9e18 else { return "\(value)" }
    let scaled = Int64((abs(value) * scale).rounded())
    let sign = value < 0 && scaled != 0 ? "-" : ""
    guard decimals > 0 else { return "\(sign)\(scaled)" }
    let digits = String(scaled)
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
}
