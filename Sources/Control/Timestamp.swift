// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A moment of the wall clock, as nanoseconds since 1970, and its text by RFC 3339 in UTC.
public struct Timestamp: Hashable, Comparable, Sendable {
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static var now: Timestamp {
        // A double holds today's seconds to a quarter of a microsecond.
        Timestamp(nanoseconds: Int64(Date().timeIntervalSince1970 * 1_000_000) * 1000)
    }

    /// A moment from its text: `2026-03-01T12:00:00Z`, with or without a fraction, with `Z` or an offset.
    public init?(parsing text: some StringProtocol) {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int64? {
            guard range.upperBound <= bytes.count, bytes[range].allSatisfy({ (48...57).contains($0) }) else {
                return nil
            }
            return bytes[range].reduce(0) { $0 * 10 + Int64($1 - 48) }
        }
        func isByte(_ byte: Character, at index: Int) -> Bool { index < bytes.count && bytes[index] == byte.asciiValue }
        guard let year = number(0..<4), isByte("-", at: 4), let month = number(5..<7), isByte("-", at: 7),
            let day = number(8..<10), isByte("T", at: 10) || isByte("t", at: 10) || isByte(" ", at: 10),
            let hour = number(11..<13), isByte(":", at: 13), let minute = number(14..<16), isByte(":", at: 16),
            let second = number(17..<19), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
            second <= 60, (1678...2261).contains(year)
        else { return nil }
        var at = 19
        var fraction: Int64 = 0
        if isByte(".", at: at) {
            let digits = bytes[(at + 1)...].prefix { (48...57).contains($0) }
            guard !digits.isEmpty, digits.count <= 9 else { return nil }
            fraction = (0..<9).reduce(0) {
                $0 * 10 + ($1 < digits.count ? Int64(digits[digits.startIndex + $1] - 48) : 0)
            }
            at += 1 + digits.count
        }
        var offset: Int64 = 0
        if isByte("Z", at: at) || isByte("z", at: at) {
            guard bytes.count == at + 1 else { return nil }
        } else {
            guard isByte("+", at: at) || isByte("-", at: at), bytes.count == at + 6, isByte(":", at: at + 3),
                let hours = number(at + 1..<at + 3), let minutes = number(at + 4..<at + 6), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * (isByte("-", at: at) ? -60 : 60)
        }
        let seconds = ((Timestamp.days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second - offset
        self.init(nanoseconds: seconds * 1_000_000_000 + fraction)
    }

    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Days since 1970 of a date of the Gregorian calendar.
    ///
    /// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private static func date(ofDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}

extension Timestamp: CustomStringConvertible {
    /// `2026-03-01T12:00:00.123Z`: milliseconds always, so that lines sort as texts.
    public var description: String {
        let milliseconds = nanoseconds / 1_000_000 - (nanoseconds % 1_000_000 < 0 ? 1 : 0)
        let days = (milliseconds >= 0 ? milliseconds : milliseconds - 86_399_999) / 86_400_000
        let rest = milliseconds - days * 86_400_000
        let (year, month, day) = Timestamp.date(ofDays: days)
        let pad = { (value: Int64, width: Int) in
            let digits = "\(value)"
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(rest / 3_600_000, 2)):"
            + "\(pad(rest / 60_000 % 60, 2)):\(pad(rest / 1000 % 60, 2)).\(pad(rest % 1000, 3))Z"
    }
}
