// SPDX-License-Identifier: Apache-2.0

/// The parameters behind a path's `?`; each is known to its route and comes once.
struct Query {
    private var values: [String: String] = [:]

    /// - Throws: ``ControlError`` `badRequest` where a parameter is unknown, doubled or badly encoded.
    init(_ text: String?, allowed: Set<String>) throws(ControlError) {
        for part in (text ?? "").split(separator: "&") {
            let equals = part.firstIndex(of: "=") ?? part.endIndex
            let name = String(part[..<equals])
            let encoded = part[equals...].dropFirst().replacing("+", with: " ")
            guard allowed.contains(name) else {
                let names = allowed.sorted().joined(separator: ", ")
                throw ControlError(
                    .badRequest,
                    "there is no parameter '\(name)' here\(names.isEmpty ? "" : "; there are \(names)")"
                )
            }
            guard let value = percentDecoded(encoded), values[name] == nil else {
                throw ControlError(.badRequest, "parameter '\(name)' is badly encoded or comes twice")
            }
            values[name] = value
        }
    }

    func text(_ name: String) -> String? { values[name] }

    /// A flag: `1`, `true` or nothing behind its name set it.
    func flag(_ name: String) throws(ControlError) -> Bool {
        switch values[name] {
        case nil, "0", "false": false
        case "", "1", "true": true
        case let value?: throw ControlError(.badRequest, "parameter '\(name)' is true or false and not '\(value)'")
        }
    }

    func number<T: FixedWidthInteger>(_ name: String, in range: ClosedRange<T>, radix: Int = 10) throws(ControlError)
        -> T?
    {
        guard let text = values[name] else { return nil }
        guard let number = T(text, radix: radix), range.contains(number) else {
            let bounds = "\(String(range.lowerBound, radix: radix)) to \(String(range.upperBound, radix: radix))"
            throw ControlError(.badRequest, "parameter '\(name)' is \(bounds) and not '\(text)'")
        }
        return number
    }

    /// Seconds, with a fraction or without.
    func seconds(_ name: String, atMost: Double) throws(ControlError) -> Duration? {
        guard let text = values[name] else { return nil }
        guard let seconds = Double(text), seconds >= 0, seconds <= atMost else {
            throw ControlError(.badRequest, "parameter '\(name)' is 0 to \(Int(atMost)) seconds and not '\(text)'")
        }
        return .milliseconds(Int64(seconds * 1000))
    }
}
