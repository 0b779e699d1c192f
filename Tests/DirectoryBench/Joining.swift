// SPDX-License-Identifier: Apache-2.0

import Peers
import Storage

/// One agent that has everything and one that comes.
enum Joining {
    private static func service(
        _ path: String, _ name: String, _ peers: [PeerAddress]
    ) throws -> (Store, PeerService) {
        let store = try Main.store(path)
        let configuration = PeersConfiguration(
            name: name,
            site: "bench",
            listen: PeerAddress(host: "127.0.0.1", port: 0),
            peers: peers
        )
        return (store, try PeerService(configuration: configuration, store: store, logger: Main.logger))
    }

    static func serve(_ path: String) async throws {
        let (_, service) = try service(path, "old", [])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await service.run() }
            try Main.print(["port": Double(try await service.port())])
            for try await _ in group {}
        }
    }

    /// From the start of the service until nothing is missing, and what the process takes then.
    static func join(_ path: String, port: Int) async throws -> [String: Double] {
        let (store, service) = try service(path, "new", [PeerAddress(host: "127.0.0.1", port: port)])
        let before = try Footprint.anonymousBytes()
        let watch = Stopwatch()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try? await service.run() }
            let isDone = await service.directory.catchUp(timeout: .seconds(600))
            let seconds = watch.seconds
            let after = try Footprint.anonymousBytes()
            group.cancelAll()
            return [
                "join_seconds": seconds,
                "is_done": isDone ? 1 : 0,
                "entries": Double(try store.catalog.entryCount()),
                "anonymous_bytes_before": before,
                "anonymous_bytes": after,
                "catalog_bytes": try Footprint.catalogBytes(path),
            ]
        }
    }
}
