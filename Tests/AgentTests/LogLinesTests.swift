// SPDX-License-Identifier: Apache-2.0

import Agent
import Logging
import Testing

@Suite("Log lines")
struct LogLinesTests {
    private static func line(isJSON: Bool, _ body: (Logger) -> Void) async -> String {
        let (lines, output) = AsyncStream<String>.makeStream()
        let logger = Logger(label: "larder.test") { label in
            LogLines(label: label, level: .info, isJSON: isJSON, now: { "2026-03-01T12:00:00.123Z" }) {
                output.yield($0)
            }
        }
        body(logger)
        output.finish()
        return await lines.reduce("", +)
    }

    @Test("are JSON objects with time, level, label, message and sorted fields")
    func json() async {
        let line = await Self.line(isJSON: true) { logger in
            logger.info(
                "volume mounted", metadata: ["volume": "ci", "count": "\(3)", "list": ["a", "b\"c"], "time": "own"])
        }
        let start =
            "{\"time\":\"2026-03-01T12:00:00.123Z\",\"level\":\"info\",\"label\":\"larder.test\","
            + "\"message\":\"volume mounted\""
        #expect(line == start + ",\"count\":\"3\",\"list\":[\"a\",\"b\\\"c\"],\"_time\":\"own\",\"volume\":\"ci\"}\n")
    }

    @Test("are text for people, where values that need it are quoted")
    func text() async {
        let line = await Self.line(isJSON: false) {
            $0.warning("torn stream", metadata: ["key": "ci/a b", "size": "3"])
        }
        #expect(line == "2026-03-01T12:00:00.123Z WARNING  larder.test: torn stream key=\"ci/a b\" size=3\n")
    }

    @Test("are one line whatever a value holds", arguments: [true, false])
    func oneLine(isJSON: Bool) async {
        let line = await Self.line(isJSON: isJSON) { $0.error("bad\nthing", metadata: ["reason": "a\r\nb\u{1}"]) }
        #expect(line.split(separator: "\n", omittingEmptySubsequences: true).count == 1)
        #expect(line.hasSuffix("\n"))
    }

    @Test("leave out what is below the level")
    func level() async {
        #expect(await Self.line(isJSON: true) { $0.debug("nothing") }.isEmpty)
    }
}
