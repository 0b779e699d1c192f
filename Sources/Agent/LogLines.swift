// SPDX-License-Identifier: Apache-2.0

import Control
import Glibc
public import Logging

/// Writes log events as lines: JSON objects for machines, text for people.
///
/// One event is one `write(2)`, so that lines of several threads and processes do not mix.
public struct LogLines: LogHandler {
    /// Where lines go; standard error by default. Tests collect them.
    public typealias Output = @Sendable (String) -> Void

    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let isJSON: Bool
    private let output: Output
    private let now: @Sendable () -> String

    /// - Parameters:
    ///   - label: the logger's name.
    ///   - now: the time that a line begins with.
    public init(
        label: String,
        level: Logger.Level,
        isJSON: Bool,
        now: @escaping @Sendable () -> String = LogLines.wallClock,
        output: @escaping Output = LogLines.writeToStandardError
    ) {
        self.label = label
        self.logLevel = level
        self.isJSON = isJSON
        self.now = now
        self.output = output
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let own = event.metadata { all.merge(own) { _, new in new } }
        if let error = event.error { all["error"] = "\(error)" }
        let fields = all.sorted { $0.key < $1.key }
        output(isJSON ? json(event, fields) : text(event, fields))
    }

    private func json(_ event: LogEvent, _ fields: [(key: String, value: Logger.MetadataValue)]) -> String {
        var line = "{\"time\":\"\(now())\",\"level\":\"\(event.level)\",\"label\":"
        line += jsonText(label) + ",\"message\":" + jsonText(event.message.description)
        let reserved = ["time", "level", "label", "message"]
        for (key, value) in fields {
            line += "," + jsonText(reserved.contains(key) ? "_\(key)" : key) + ":" + jsonValue(value)
        }
        return line + "}\n"
    }

    private func text(_ event: LogEvent, _ fields: [(key: String, value: Logger.MetadataValue)]) -> String {
        let level = event.level.rawValue.uppercased()
        var line =
            "\(now()) \(level)\(String(repeating: " ", count: max(0, 8 - level.count))) \(label): \(event.message)"
        for (key, value) in fields {
            let text = "\(value)"
            let isPlain = !text.isEmpty && text.allSatisfy { !$0.isWhitespace && $0 != "\"" && $0 != "=" }
            line += " \(key)=\(isPlain ? text : jsonText(text))"
        }
        // A message never breaks its line: whatever it quotes may come from a peer or a file.
        return line.map { $0.isNewline ? " " : String($0) }.joined() + "\n"
    }

    /// The wall clock as RFC 3339.
    public static let wallClock: @Sendable () -> String = { Timestamp.now.description }

    public static let writeToStandardError: Output = { line in
        var rest = Array(line.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

private func jsonValue(_ value: Logger.MetadataValue) -> String {
    switch value {
    case .string(let text): jsonText(text)
    case .stringConvertible(let value): jsonText(value.description)
    case .array(let values): "[" + values.map(jsonValue).joined(separator: ",") + "]"
    case .dictionary(let fields):
        "{"
            + fields.sorted { $0.key < $1.key }.map { "\(jsonText($0.key)):\(jsonValue($0.value))" }
            .joined(separator: ",") + "}"
    }
}

/// A text as a JSON string. By hand: Foundation's encoder costs tens of microseconds for each line.
func jsonText(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": out += "\\\""
        case "\\": out += "\\\\"
        case "\n": out += "\\n"
        case "\r": out += "\\r"
        case "\t": out += "\\t"
        case _ where scalar.value < 0x20:
            let digits = String(scalar.value, radix: 16)
            out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: out.unicodeScalars.append(scalar)
        }
    }
    return out + "\""
}
