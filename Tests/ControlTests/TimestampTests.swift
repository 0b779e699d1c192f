// SPDX-License-Identifier: Apache-2.0

import Control
import Testing

@Suite("Timestamps")
struct TimestampTests {
    @Test(
        "are RFC 3339 in UTC",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_772_366_400_123_456_789, "2026-03-01T12:00:00.123Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (-86_400_000_000_000, "1969-12-31T00:00:00.000Z"), (4_102_444_799_999_999_999, "2099-12-31T23:59:59.999Z"),
        ] as [(Int64, String)]
    )
    func text(nanoseconds: Int64, text: String) {
        #expect(Timestamp(nanoseconds: nanoseconds).description == text)
    }

    @Test(
        "are read with fractions and offsets",
        arguments: [
            ("2026-03-01T12:00:00Z", 1_772_366_400_000_000_000),
            ("2026-03-01T13:30:00.5+01:30", 1_772_366_400_500_000_000),
            ("2026-03-01t12:00:00.123456789z", 1_772_366_400_123_456_789), ("2026-03-01T12:00:00", nil),
            ("2026-13-01T12:00:00Z", nil),
            ("now", nil), ("2026-03-01T12:00:00.Z", nil), ("2026-03-01T24:00:00Z", nil), ("", nil),
            ("2026-03-01T12:00:00Z ", nil),
        ] as [(String, Int64?)]
    )
    func parsing(text: String, nanoseconds: Int64?) {
        #expect(Timestamp(parsing: text)?.nanoseconds == nanoseconds)
    }

    @Test("read back to the millisecond")
    func roundTrip() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<1000 {
            let milliseconds = Int64.random(in: -8_000_000_000_000...8_000_000_000_000, using: &generator)
            let stamp = Timestamp(nanoseconds: milliseconds * 1_000_000)
            #expect(Timestamp(parsing: stamp.description) == stamp, "\(milliseconds)")
        }
    }

    @Test("are told whatever a file's time is", arguments: [Int64.min, .min + 1, -1, 0, .max])
    func extremes(nanoseconds: Int64) {
        let text = Timestamp(nanoseconds: nanoseconds).description
        #expect(text.hasSuffix("Z") && (nanoseconds != .min || text.hasPrefix("1677-09-21T00:12:43.145")))
    }
}
