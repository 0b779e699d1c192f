// SPDX-License-Identifier: Apache-2.0

import Content
import Control
import Foundation
import Logging
import Objects
import Peers
import ServiceLifecycle
import Storage

/// One agent's cache on a temporary store with its control sockets, without mounts or other agents.
struct Node: Sendable {
    let cache: ObjectCache
    let admin: String
    /// The socket of a volume of namespace `ci`, read-write.
    let volume: String
    /// The socket of a volume of namespace `ci`, read-only.
    let readOnly: String

    /// Runs `body` against a node that serves, and takes everything away after.
    static func with<R: Sendable>(
        quota: UInt64 = 1 << 30,
        objectByteCount: UInt64 = 1 << 40,
        _ body: @escaping @Sendable (Node) async throws -> R
    ) async throws -> R {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let configuration = StoreConfiguration(directory: "\(directory)/store", quota: quota, freeFraction: 0)
        let store = try Store.open(configuration, logger: logger)
        var peersConfiguration = PeersConfiguration(name: "node", site: "here")
        peersConfiguration.listen = PeerAddress(host: "127.0.0.1", port: 0)
        let peers = try PeerService(configuration: peersConfiguration, store: store, logger: logger)
        var limits = Objects.Limits()
        limits.objectByteCount = objectByteCount
        let cache = ObjectCache(
            store: store,
            directory: peers.directory,
            peers: peers,
            site: "here",
            limits: limits,
            coreCount: 2,
            logger: logger
        )
        let node = Node(
            cache: cache,
            admin: "\(directory)/admin.sock",
            volume: "\(directory)/ci.sock",
            readOnly: "\(directory)/ro.sock"
        )
        let result = try await node.serve(logger, body)
        try store.close()
        return result
    }

    private func serve<R: Sendable>(
        _ logger: Logger,
        _ body: @escaping @Sendable (Node) async throws -> R
    ) async throws -> R {
        let facts = AgentFacts(
            namespaces: ["ci", "tools"],
            status: {
                StatusMessage(
                    agent: .init(id: "0", name: "node", site: "here", version: "test", uptimeSeconds: 0),
                    store: nil,
                    volumes: ["ci", "tools"].map {
                        .init(name: $0, namespace: $0, path: "/run/larder/\($0)", access: "read-write", isServing: true)
                    },
                    members: [],
                    traffic: nil
                )
            },
            checks: { [CheckMessage($0 ?? "everything", .ok, "fine")] },
            name: { _ in nil }
        )
        let sockets: [ControlServer.Socket] = [
            .admin(path: admin),
            .volume(path: volume, namespace: "ci", isWritable: true),
            .volume(path: readOnly, namespace: "ci", isWritable: false),
        ]
        var services: [any Service] = [cache]
        var starts: [AsyncStream<Void>] = []
        for socket in sockets {
            let (serving, announce) = AsyncStream<Void>.makeStream()
            starts.append(serving)
            services.append(Announced(socket: socket, cache: cache, facts: facts, logger: logger, announce: announce))
        }
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: logger))
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            for start in starts { for await _ in start {} }
            let result: Result<R, any Error>
            do { result = .success(try await body(self)) } catch { result = .failure(error) }
            // As an agent ends: what was accepted is served, then the sockets and the cache go.
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return try result.get()
        }
    }

    private static func temporaryDirectory() throws -> String {
        var template = Array("/tmp/larder-control-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ControlError(.io, "no temporary directory") }
        return String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A socket that says when it serves, or that it never will.
private struct Announced: Service {
    let socket: ControlServer.Socket
    let cache: ObjectCache
    let facts: AgentFacts
    let logger: Logger
    let announce: AsyncStream<Void>.Continuation

    func run() async throws {
        defer { announce.finish() }
        try await ControlServer(socket: socket, cache: cache, facts: facts, logger: logger) { announce.finish() }.run()
    }
}
