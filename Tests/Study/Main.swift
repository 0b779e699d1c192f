// SPDX-License-Identifier: Apache-2.0

import Foundation

/// `larder-study --old FILE --new FILE [--level N]`: one JSON object with what crosses a link for FILE when the receiver
/// holds OLD, by kind, and what it costs; no network, no store. `hack/study` prints it beside the floor.
@main
struct Main {
    static func main() {
        do {
            let arguments = Array(CommandLine.arguments.dropFirst())
            guard let old = value(of: "--old", in: arguments), let new = value(of: "--new", in: arguments) else {
                throw UsageError(message: "usage: larder-study --old FILE --new FILE [--level N]")
            }
            let level = value(of: "--level", in: arguments).flatMap { Int32($0) }
            let study = try Study(old: MappedObject(old), new: MappedObject(new), level: level)
            let data = try JSONSerialization.data(withJSONObject: study.report, options: [.prettyPrinted, .sortedKeys])
            FileHandle.standardOutput.write(data + Data("\n".utf8))
        } catch {
            FileHandle.standardError.write(Data("larder-study: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func value(of flag: String, in arguments: [String]) -> String? {
        guard let at = arguments.firstIndex(of: flag), at + 1 < arguments.count else { return nil }
        return arguments[at + 1]
    }
}

struct UsageError: Error, CustomStringConvertible {
    let message: String
    var description: String { message }
}
