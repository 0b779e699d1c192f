// SPDX-License-Identifier: Apache-2.0

import Agent
import Testing

@Suite("Units")
struct UnitTests {
    @Test(
        "read sizes exactly",
        arguments: [
            ("0", 0), ("4096", 4096), ("1KiB", 1024), ("1.5GiB", 1_610_612_736), ("100 GiB", 107_374_182_400),
            ("1kB", 1000), ("2.5MB", 2_500_000), ("1Ti", 1_099_511_627_776), ("10B", 10), ("18446744073709551615", nil),
            ("17000000TB", 17_000_000_000_000_000_000), ("20000000TB", nil), ("1.5", nil), ("", nil), ("GiB", nil),
            ("1.GiB", nil), ("-1", nil), ("1e3", nil), ("1gib", nil), ("1kb", nil), ("１KiB", nil), ("1GiB1", nil),
        ] as [(String, UInt64?)]
    )
    func size(text: String, bytes: UInt64?) {
        #expect((try? ByteSize(parsing: text))?.bytes == bytes)
    }

    @Test(
        "write sizes so that they read back",
        arguments: [0, 1, 1000, 1024, 1536, 100 << 30, 1_000_000_007, .max / 3] as [UInt64])
    func sizeRoundTrip(bytes: UInt64) throws {
        guard bytes < 1_000_000_000_000_000_000 else { return }
        #expect(try ByteSize(parsing: ByteSize(bytes: bytes).description).bytes == bytes)
    }

    @Test(
        "read rates",
        arguments: [
            ("50Mbit", 50_000_000), ("50mbit", 50_000_000), ("1.5Gbit", 1_500_000_000), ("8bit", 8), ("1 kbit", 1000),
            ("50", nil), ("50Mbitt", nil), ("50MiB", nil), ("0Mbit", nil), ("1bit", nil), ("Mbit", nil),
        ] as [(String, UInt64?)]
    )
    func rate(text: String, bits: UInt64?) {
        #expect((try? BitRate(parsing: text))?.bitsPerSecond == bits)
    }

    @Test(
        "read durations",
        arguments: [
            ("250ms", .milliseconds(250)), ("60s", .seconds(60)), ("1.5h", .seconds(5400)), ("1h30m", .seconds(5400)),
            ("1d", .seconds(86_400)), ("0s", .zero), ("60", nil), ("", nil), ("1y", nil), ("1h30", nil), ("h", nil),
            ("40000d", nil), ("0.0000000001s", nil),
        ] as [(String, Duration?)]
    )
    func duration(text: String, duration: Duration?) {
        #expect((try? Duration(parsing: text)) == duration)
    }

    @Test("write durations so that they read back", arguments: [0, 1, 250, 60_000, 5_400_000, 86_400_000, 86_400_001])
    func durationRoundTrip(milliseconds: Int) throws {
        let duration = Duration.milliseconds(milliseconds)
        #expect(try Duration(parsing: duration.text) == duration)
    }

    @Test(
        "round for people",
        arguments: [
            (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (999_499, "999 kB"),
            (999_500, "1.00 MB"), (1_180_000_000, "1.18 GB"), (.max, "18447 PB"),
        ] as [(UInt64, String)]
    )
    func rounded(bytes: UInt64, text: String) {
        #expect(ByteSize(bytes: bytes).rounded == text)
    }

    @Test(
        "round times for people",
        arguments: [
            (.milliseconds(7), "0.01 s"), (.milliseconds(9990), "9.99 s"), (.seconds(10), "10.0 s"),
            (.seconds(245), "4 min 05 s"), (.seconds(7260), "2 h 01 min"),
        ] as [(Duration, String)]
    )
    func roundedDuration(duration: Duration, text: String) {
        #expect(duration.rounded == text)
    }

    @Test(
        "read shares only with their sign",
        arguments: [("20%", 0.2), ("2.5%", 0.025), ("0%", 0), ("100%", 1), ("20", nil), ("0.2", nil), ("101%", nil)]
            as [(String, Double?)]
    )
    func share(text: String, fraction: Double?) {
        #expect((try? Percent(parsing: text))?.fraction == fraction)
    }

    @Test(
        "read addresses",
        arguments: [
            ("10.0.0.2:7420", "10.0.0.2"), ("[::1]:1", "::1"), ("a-b.example:65535", "a-b.example"),
            ("localhost:0", "localhost"), ("10.0.0.2", nil), ("10.0.0:1", nil), ("::1:7420", nil), ("a..b:1", nil),
            ("a:65536", nil), (":7420", nil), ("a b:1", nil), ("http://a:1", nil), ("[a]:1", nil), ("-a:1", nil),
        ] as [(String, String?)]
    )
    func endpoint(text: String, host: String?) {
        #expect((try? Endpoint(parsing: text))?.host == host)
    }

    @Test(
        "know loopback",
        arguments: [
            ("127.0.0.1:1", true), ("127.9.9.9:1", true), ("[::1]:1", true), ("localhost:1", true),
            ("0.0.0.0:1", false), ("[::]:1", false), ("127.evil.example:1", false),
        ])
    func loopback(text: String, isLoopback: Bool) throws {
        #expect(try Endpoint(parsing: text).isLoopback == isLoopback)
    }
}
