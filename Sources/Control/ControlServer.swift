// SPDX-License-Identifier: Apache-2.0

import Glibc
import Hummingbird
public import Logging
import NIOConcurrencyHelpers
import NIOCore
public import Objects
public import ServiceLifecycle

/// One control socket: HTTP/1.1 and JSON over a Unix socket, under `/v1`, described by `openapi.yaml`.
///
/// A volume's socket serves its namespace with its access and may be connected to by any user, because jobs run as any
/// user; the admin socket serves everything to root. Who can connect has the socket's rights: there is no other check.
public struct ControlServer: Service {
    /// Where a socket lies and who may connect.
    public struct Socket: Hashable, Sendable {
        public let path: String
        /// Permission bits of the socket's file: connecting needs write permission.
        public let mode: UInt32
        public let scope: Scope

        /// The admin socket: everything, for its owner.
        public static func admin(path: String) -> Socket { Socket(path: path, mode: 0o600, scope: .admin) }

        /// A volume's socket: its namespace, for everybody.
        public static func volume(path: String, namespace: String, isWritable: Bool) -> Socket {
            Socket(path: path, mode: 0o666, scope: Scope(namespace: namespace, isWritable: isWritable))
        }
    }

    private let socket: Socket
    private let responder: ControlResponder
    private let logger: Logger
    private let whenServing: @Sendable () -> Void

    /// - Parameter whenServing: called once, when requests are accepted.
    public init(
        socket: Socket,
        cache: ObjectCache,
        facts: AgentFacts,
        logger: Logger,
        whenServing: @escaping @Sendable () -> Void = {}
    ) {
        self.socket = socket
        self.logger = logger
        self.whenServing = whenServing
        responder = ControlResponder(
            cache: cache,
            scope: socket.scope,
            facts: facts,
            operations: Operations(),
            admission: Admission(countMax: ControlLimits.requestCount),
            logger: logger
        )
    }

    /// Serves until graceful shutdown or cancellation; a socket file left by a dead agent is replaced.
    ///
    /// - Throws: ``ControlError`` `busy` where another process serves the socket, `io` where it cannot be bound.
    public func run() async throws {
        guard !ControlServer.isServed(socket.path) else {
            throw ControlError(
                .busy, "another process serves the socket '\(socket.path)': stop it, or use another path")
        }
        let failure = NIOLockedValueBox<ControlError?>(nil)
        // Hummingbird reports that it cannot remove a socket in a volume's read-only directory, which is as it should
        // be: the next start replaces the file. What else it would say comes out of `run` or is in our own lines.
        var quiet = logger
        quiet.logLevel = .critical
        let application = Application(
            responder: responder,
            configuration: ApplicationConfiguration(
                address: .unixDomainSocket(path: socket.path),
                serverName: "larder"
            ),
            onServerRunning: { channel in
                if chmod(socket.path, socket.mode) == 0 {
                    logger.info("control socket serves", metadata: ["path": "\(socket.path)"])
                    whenServing()
                } else {
                    let reason = String(cString: strerror(errno))
                    failure.withLockedValue {
                        $0 = ControlError(.io, "the mode of the socket '\(socket.path)' cannot be set: \(reason)")
                    }
                    channel.close(promise: nil)
                }
            },
            logger: quiet
        )
        do {
            try await application.run()
        } catch {
            throw ControlError(.io, "the socket '\(socket.path)' cannot be served: \(error)")
        }
        unlink(socket.path)
        if let error = failure.withLockedValue({ $0 }) { throw error }
    }

    /// Whether somebody answers at a socket: a file alone may be left over.
    public static func isServed(_ path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { _ = close(descriptor) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}
