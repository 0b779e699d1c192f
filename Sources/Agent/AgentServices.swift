// SPDX-License-Identifier: Apache-2.0

import Control
import FUSE
import Glibc
import Holder
import Logging
import NIOConcurrencyHelpers
import Objects
import Peers
import ServiceLifecycle
import Volumes

// The parts as services: each runs its part and says, where that ends badly, what it was and what to do.

struct PeersPart: Service {
    let service: PeerService
    let listen: Endpoint

    func run() async throws {
        do {
            try await service.run()
        } catch let error as CancellationError {
            throw error
        } catch {
            throw AgentError.port(listen, of: "peers", field: "listen", error)
        }
    }
}

extension AgentError {
    /// Nobody can be served at an address.
    static func port(_ listen: Endpoint, of what: String, field: String, _ error: any Error) -> AgentError {
        let holder = PortHolder.describe(port: listen.port).map { ", which \($0) has" } ?? ""
        return AgentError(
            .address, "\(what) cannot be served at \(listen)\(holder): free the port, or set '\(field)' to another",
            cause: "\(error)")
    }
}

struct CachePart: Service {
    let cache: ObjectCache

    func run() async throws { try await cache.run() }
}

struct ControlPart: Service {
    let parts: AgentParts
    let socket: ControlServer.Socket
    let logger: Logger

    func run() async throws {
        do {
            try await ControlServer(socket: socket, cache: parts.cache, facts: parts.facts, logger: logger) {
                parts.isControlServing.withLockedValue { $0 = true }
            }.run()
        } catch let error as ControlError {
            throw AgentError(.address, error.message)
        }
    }
}

/// A volume: its mount, and its socket beside it.
struct VolumePart: Service {
    /// How long after a mount was taken away from outside it is made again: at once would spin where that repeats.
    static let pause = Duration.seconds(1)

    let volume: Volume
    let parts: AgentParts
    let logger: Logger

    func run() async throws {
        let hold = NIOLockedValueBox(parts.holds?.holds[volume.configuration.name])
        try start(nil)
        if let hold = hold.withLockedValue({ $0 }) { serve(hold) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            try await serveSocket(in: &group)
            group.addTask {
                await volume.finishRestored()
                await keepMounted(hold)
            }
            group.addTask { try await gracefulShutdown() }
            let first = await group.nextResult()
            // The mount goes while the store can still answer: readers end well, new ones see the read-only directory.
            await end(hold.withLockedValue { $0 })
            group.cancelAll()
            while await group.nextResult() != nil {}
            if case .failure(let error) = first, !(error is CancellationError) { throw error }
        }
    }

    private func start(_ held: HeldMount?) throws(AgentError) {
        do {
            try volume.start(held: held)
        } catch {
            throw AgentError(.volume, "volume \(volume.configuration.name) cannot be mounted", cause: "\(error)")
        }
    }

    private func serve(_ hold: Holds.Hold) {
        hold.volume.serves()
        Holds.listen(to: hold.volume, logger)
    }

    /// Unmounts; or leaves the mount to the successor of this process, where a holder keeps it.
    private func end(_ hold: Holds.Hold?) async {
        guard let hold, hold.volume.isHeld else { return await volume.stop() }
        guard await volume.leave() else {
            logger.notice("requests are left to the successor", metadata: ["volume": "\(volume.configuration.name)"])
            // As if killed: the store is as after a crash, which the successor knows to open.
            _exit(0)
        }
    }

    /// Starts the volume's socket; its directory is writable only until it is bound (P12).
    private func serveSocket(in group: inout ThrowingTaskGroup<Void, any Error>) async throws {
        let configuration = volume.configuration
        let socket = ControlServer.Socket.volume(
            path: configuration.socketPath,
            namespace: configuration.namespace,
            isWritable: configuration.access == .readWrite
        )
        let (bound, announce) = AsyncStream<Void>.makeStream()
        let server = ControlServer(socket: socket, cache: parts.cache, facts: parts.facts, logger: logger) {
            announce.finish()
        }
        // Begun within, not before: a socket that a killed agent left behind is replaced as soon as the server starts.
        try await volume.withWritableParent {
            group.addTask {
                defer { announce.finish() }
                do {
                    try await server.run()
                } catch let error as ControlError {
                    throw AgentError(.volume, "volume \(configuration.name): \(error.message)")
                }
            }
            for await _ in bound {}
        }
    }

    /// Mounts again where somebody unmounted by hand; until that succeeds the path refuses writes (P12).
    private func keepMounted(_ hold: NIOLockedValueBox<Holds.Hold?>) async {
        while true {
            await volume.untilEnded()
            do {
                try await Task.sleep(for: VolumePart.pause)
                guard !Task.isShuttingDownGracefully else { return }
                logger.warning("mounting again", metadata: ["volume": "\(volume.configuration.name)"])
                guard let holds = parts.holds, let old = hold.withLockedValue({ $0 }) else {
                    try start(nil)
                    continue
                }
                old.volume.drop()
                old.volume.leave()
                let new = try holds.take(volume.configuration)
                hold.withLockedValue { $0 = new }
                try start(new.mount)
                serve(new)
            } catch is CancellationError {
                return
            } catch {
                logger.error("volume not mounted", metadata: ["error": "\(error)"])
            }
        }
    }
}
