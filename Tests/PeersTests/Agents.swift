// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Logging
import NIOConcurrencyHelpers
import Peers
import ServiceLifecycle
import Storage

/// An agent in this process: a store in a directory of its own, a peer service on a free port of the loopback.
final class Agent: Sendable {
    let store: Store
    let service: PeerService
    private let path: String

    init(
        _ name: String,
        site: String = "basement",
        keyring: Keyring? = nil,
        store given: Store? = nil,
        _ change: (inout PeersConfiguration) -> Void
    ) throws {
        path = NSTemporaryDirectory() + "larder-peers-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        var logger = Logger(label: name)
        logger.logLevel = .critical
        store =
            try given
            ?? Store.open(StoreConfiguration(directory: path, quota: 1 << 30, freeFraction: 0), logger: logger)
        var configuration = PeersConfiguration(
            name: name,
            site: site,
            listen: PeerAddress(host: "127.0.0.1", port: 0)
        )
        // A loaded machine must not make anybody suspect, nor end a wait that the test is about.
        configuration.limits.heartbeat = .seconds(5)
        configuration.limits.missedMax = 30
        configuration.limits.answer = .seconds(30)
        configuration.limits.acknowledge = .seconds(30)
        change(&configuration)
        service = try PeerService(
            configuration: configuration,
            store: store,
            keyring: keyring,
            logger: logger
        )
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var directory: Directory { service.directory }

    func address() async throws -> PeerAddress {
        PeerAddress(host: "127.0.0.1", port: try await service.port())
    }

    /// Publishes a small object; returns its entry.
    @discardableResult
    func publish(_ key: String, _ body: Entry.Body = .inline([1])) async throws -> Entry {
        let entry = Entry(
            key: try Key(key),
            version: directory.nextVersion(),
            body: body,
            metadata: Metadata(modified: 0)
        )
        _ = try await directory.publish([.entry(entry)])
        return entry
    }

    /// Puts a chunk into the store.
    func insert(_ raw: [UInt8]) throws -> Digest {
        let digest = Digest.sha256(of: raw)
        _ = try raw.withUnsafeBytes { try store.chunks.insert(digest, kind: .data, raw: $0) }
        return digest
    }

    /// Waits until agents of these names are alive for this one.
    func meets(_ names: String..., line: UInt = #line, file: String = #fileID) async throws {
        try await eventually(line: line, file: file) { names.allSatisfy { name in self.state(of: name) == .alive } }
    }

    func state(of name: String) -> Membership.State? { service.members().first { $0.name == name }?.state }
}

struct NeverHappened: Error { var at = "" }

/// Waits for a condition of another task; gives up after half a minute.
func eventually(
    line: UInt = #line, file: String = #fileID, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(at: "\(file):\(line)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Runs agents while `body` does; then stops them.
func running<R>(_ agents: [Agent], _ body: () async throws -> R) async throws -> R {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for agent in agents { group.addTask { try? await agent.service.run() } }
        for agent in agents { _ = try await agent.service.port() }
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        group.cancelAll()
        return try result.get()
    }
}

/// SplitMix64: small, and the same on every machine.
struct Random: RandomNumberGenerator {
    var state: UInt64

    /// A generator of a new seed, printed so that a failure can be had again.
    init(_ what: String) {
        state = .random(in: .min ... .max)
        print("seed of \(what): \(state)")
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}
