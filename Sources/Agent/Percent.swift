// SPDX-License-Identifier: Apache-2.0

/// A share, as people write it: `20%`.
public struct Percent: Hashable, Comparable, Sendable {
    /// Hundredths of a per cent, so that `2.5%` is exact.
    let basisPoints: UInt64

    /// A share of 0 to 100 per cent.
    public init(_ percent: UInt8) { basisPoints = UInt64(min(percent, 100)) * 100 }

    /// A share from its text.
    ///
    /// - Throws: ``AgentError`` `value`. A number without `%` is refused: `0.2` and `20` are meant by as many people.
    public init(parsing text: some StringProtocol) throws(AgentError) {
        guard let quantity = Quantity(text), quantity.unit == "%", let points = quantity.scaled(by: 100),
            points <= 10_000
        else {
            throw AgentError(.value, "'\(text)' is not a share: it is a number from 0 to 100 and %, such as 20%")
        }
        basisPoints = points
    }

    /// From 0 to 1.
    public var fraction: Double { Double(basisPoints) / 10_000 }

    public static func < (a: Percent, b: Percent) -> Bool { a.basisPoints < b.basisPoints }
}

extension Percent: CustomStringConvertible {
    public var description: String {
        basisPoints % 100 == 0
            ? "\(basisPoints / 100)%" : "\(fixedText(Double(basisPoints) / 100, decimals: 2))%"
    }
}
