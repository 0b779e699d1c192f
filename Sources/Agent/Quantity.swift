// SPDX-License-Identifier: Apache-2.0

/// A decimal number with a unit behind it, as people write sizes, rates and durations.
///
/// Exact: `1.5GiB` is 1,610,612,736 and nothing near it, so no floating point is involved.
struct Quantity {
    /// The digits without their point.
    let digits: UInt64
    /// How many of the digits are behind the point.
    let decimals: Int
    /// What follows the number, without leading blanks; empty where nothing does.
    let unit: String

    /// The most digits of a number: any 18 fit 64 bits.
    static let digitCountMax = 18

    /// A quantity from a whole text, or nil where it does not begin with a number of a sane length.
    init?(_ text: some StringProtocol) {
        guard let (quantity, rest) = Quantity.leading(text), rest.isEmpty else { return nil }
        self = quantity
    }

    private init(digits: UInt64, decimals: Int, unit: String) {
        self.digits = digits
        self.decimals = decimals
        self.unit = unit
    }

    /// The quantity that a text begins with, and what follows it: `1h30m` begins with `1h`.
    static func leading(_ text: some StringProtocol) -> (Quantity, rest: Substring)? {
        var rest = Substring(text)
        let whole = rest.prefix { $0.isASCII && $0.isNumber }
        rest = rest.dropFirst(whole.count)
        var fraction: Substring = ""
        if rest.first == "." {
            fraction = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
            guard !fraction.isEmpty else { return nil }
            rest = rest.dropFirst(fraction.count + 1)
        }
        guard !whole.isEmpty, whole.count + fraction.count <= digitCountMax, let digits = UInt64(whole + fraction)
        else { return nil }
        rest = rest.drop { $0 == " " }
        let unit = rest.prefix { !($0.isASCII && $0.isNumber) }
        return (
            Quantity(digits: digits, decimals: fraction.count, unit: String(unit)), rest.dropFirst(unit.count)
        )
    }

    /// The number in units of one, or nil where it overflows 64 bits or is no whole number of them.
    func scaled(by factor: UInt64) -> UInt64? {
        let divisor = (0..<decimals).reduce(UInt64(1)) { power, _ in power * 10 }
        let product = digits.multipliedFullWidth(by: factor)
        guard product.high < divisor else { return nil }
        let (quotient, remainder) = divisor.dividingFullWidth(product)
        return remainder == 0 ? quotient : nil
    }
}
