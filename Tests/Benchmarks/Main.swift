// SPDX-License-Identifier: Apache-2.0

import Foundation

/// `larder-stages --new FILE [--old FILE]`: one JSON object with core-seconds per byte of each stage over FILE.
@main
struct Main {
    static func main() {
        do {
            let arguments = Array(CommandLine.arguments.dropFirst())
            guard let new = value(of: "--new", in: arguments) else {
                throw UsageError(message: "usage: larder-stages --new FILE [--old FILE]")
            }
            var stages = Stages()
            if let old = value(of: "--old", in: arguments) { try stages.learn(old) }
            try stages.measure(new)
            let fuse = try FUSEStages.measure()
            let bytes = Double(max(1, stages.bytes))
            var object: [String: Any] = [
                "bytes": stages.bytes,
                "chunks": stages.chunkCount,
                "stored_bytes": stages.storedBytes,
                "new_chunks": stages.newChunkCount,
                "new_chunks_bytes": stages.newBytes,
                "new_chunks_stored_bytes": stages.newStoredBytes,
            ]
            for (stage, seconds) in stages.seconds { object[stage] = seconds / bytes }
            object["fuse_write"] = fuse.write
            object["fuse_read"] = fuse.read
            let data = try JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys])
            FileHandle.standardOutput.write(data + Data("\n".utf8))
        } catch {
            FileHandle.standardError.write(Data("larder-stages: \(error)\n".utf8))
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
