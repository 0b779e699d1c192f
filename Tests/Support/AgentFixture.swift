// SPDX-License-Identifier: Apache-2.0

public import Content
import Foundation
import Logging
public import Objects
public import Peers
public import Storage

/// One agent without doors: a store in a directory of its own, peers on a free port, and the cache.
public struct AgentFixture: Sendable {
    public let store: Store
    public let peers: PeerService
    public let cache: ObjectCache
    public let directory: String

    /// Runs `body` with an agent that serves; everything is gone afterwards.
    public static func run<R: Sendable>(
        site: String = "basement",
        name: String = "a",
        peers addresses: [PeerAddress] = [],
        links: [PeersConfiguration.Link] = [],
        quota: UInt64? = 2 << 30,
        limits: Objects.Limits = Objects.Limits(),
        rules: KeepingRules = KeepingRules(copies: 1),
        directory: String? = nil,
        _ body: @escaping @Sendable (AgentFixture) async throws -> R
    ) async throws -> R {
        let path = directory ?? NSTemporaryDirectory() + "larder-objects-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { if directory == nil { try? FileManager.default.removeItem(atPath: path) } }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let store = try Store.open(StoreConfiguration(directory: path, quota: quota), logger: logger)
        var configuration = PeersConfiguration(
            name: name,
            site: site,
            listen: PeerAddress(host: "127.0.0.1", port: 0),
            peers: addresses,
            links: links
        )
        // A loaded machine must not end a wait that the test is about, nor make anybody dead who is only slow.
        configuration.limits.acknowledge = .seconds(30)
        configuration.limits.missedMax = 30
        let service = try PeerService(configuration: configuration, store: store, logger: logger)
        let cache = ObjectCache(
            store: store,
            directory: service.directory,
            peers: service,
            site: site,
            limits: limits,
            rules: rules,
            coreCount: 2,
            logger: logger
        )
        let fixture = AgentFixture(store: store, peers: service, cache: cache, directory: path)
        let result = try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask {
                try await service.run()
                return nil
            }
            group.addTask {
                try await cache.run()
                return nil
            }
            _ = try await service.port()
            let result = try await body(fixture)
            group.cancelAll()
            while let ended = await group.nextResult() {
                if case .failure(let error) = ended, !(error is CancellationError) { throw error }
            }
            return result
        }
        try store.close()
        return result
    }

    /// Where this agent listens.
    public func address() async throws -> PeerAddress {
        PeerAddress(host: "127.0.0.1", port: try await peers.port())
    }

    /// Writes an object as a door does and publishes it.
    @discardableResult
    public func put(_ key: Key, _ bytes: [UInt8], piece: Int = 1 << 20) async throws -> Entry {
        let writer = try cache.create(key, metadata: Metadata(modified: 1))
        writer.touch()
        do {
            for at in stride(from: 0, to: bytes.count, by: piece) {
                try await write(writer, Array(bytes[at..<min(bytes.count, at + piece)]), at: UInt64(at))
            }
        } catch {
            writer.discard()
            throw error
        }
        guard let entry = try await writer.publish() else { throw CancellationError() }
        return entry
    }

    public func write(_ writer: ObjectWriter, _ bytes: [UInt8], at offset: UInt64) async throws {
        while try !bytes.withUnsafeBytes({ try writer.tryWrite($0, at: offset) }) {
            try await writer.prepareWrite(offset: offset, count: bytes.count)
        }
    }

    public func read(_ entry: Entry, piece: Int = 1 << 20) async throws -> [UInt8] {
        let reader = try cache.open(entry)
        defer { reader.close() }
        return try await read(reader, piece: piece)
    }

    public func read(_ reader: ObjectReader, piece: Int = 1 << 20) async throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(reader.size))
        var at = 0
        while at < bytes.count {
            let end = min(bytes.count, at + piece)
            let got = try bytes.withUnsafeMutableBytes {
                try reader.tryRead(at: UInt64(at), into: UnsafeMutableRawBufferPointer(rebasing: $0[at..<end]))
            }
            guard let got else {
                try await reader.prepare(offset: UInt64(at), count: end - at)
                continue
            }
            guard got > 0 else { break }
            at += got
        }
        return Array(bytes[..<at])
    }
}
