// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Peers
import Storage

/// What a large directory and a large store cost; one JSON object per run.
///
///     larder-directory seed DIR [ENTRIES] [AGENTS]   a store whose directory has so many entries of so many agents
///     larder-directory serve DIR                     an agent with it; prints its port and serves until it is killed
///     larder-directory join DIR PORT                 an agent with an empty store that joins it
///     larder-directory chunks DIR [COUNT]            a store of so many small chunks
///     larder-directory open DIR                      opens a store
@main
struct Main {
    static let usage = "usage: larder-directory seed|serve|join|chunks|open DIR [N] [N]"

    static func main() async {
        do {
            let arguments = Array(CommandLine.arguments.dropFirst())
            guard arguments.count >= 2 else { throw UsageError() }
            let numbers = arguments.dropFirst(2).compactMap { Int($0) }
            let path = arguments[1]
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            switch arguments[0] {
            case "seed":
                try print(DirectorySeed.make(path, entries: numbers.first ?? 1_000_000, agents: numbers.last ?? 100))
            case "serve": try await Joining.serve(path)
            case "join": try await print(Joining.join(path, port: numbers.first ?? 0))
            case "chunks": try print(ChunkSeed.make(path, count: numbers.first ?? 5_000_000))
            case "open": try print(ChunkSeed.open(path))
            default: throw UsageError()
            }
        } catch {
            FileHandle.standardError.write(Data("larder-directory: \(error)\n".utf8))
            exit(1)
        }
    }

    static func print(_ object: [String: Double]) throws {
        let data = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys])
        FileHandle.standardOutput.write(data + Data("\n".utf8))
    }

    static var logger: Logger {
        var logger = Logger(label: "bench")
        logger.logLevel = .critical
        return logger
    }

    static func store(_ path: String) throws -> Store {
        try Store.open(
            StoreConfiguration(directory: path, quota: 1 << 40, freeFraction: 0),
            logger: logger
        )
    }
}

struct UsageError: Error, CustomStringConvertible {
    var description: String { Main.usage }
}

/// Seconds since something began.
struct Stopwatch {
    private let begun = ContinuousClock.now

    var seconds: Double {
        let (seconds, attoseconds) = begun.duration(to: .now).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}

/// What this process and a directory take.
enum Footprint {
    /// Bytes of anonymous memory, as the kernel counts it.
    static func anonymousBytes() throws -> Double {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        for line in status.split(separator: "\n") where line.hasPrefix("RssAnon:") {
            let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first ?? "0"
            return (Double(kilobytes) ?? 0) * 1024
        }
        return 0
    }

    /// Bytes of the catalog's files.
    static func catalogBytes(_ path: String) throws -> Double {
        try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasPrefix("catalog") }
            .reduce(0) { sum, name in
                let attributes = try FileManager.default.attributesOfItem(atPath: path + "/" + name)
                return sum + ((attributes[.size] as? NSNumber)?.doubleValue ?? 0)
            }
    }
}
