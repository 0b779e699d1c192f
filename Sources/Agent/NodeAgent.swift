// SPDX-License-Identifier: Apache-2.0

import Content
import Control
import Glibc
import Logging
import NIOCore
import Objects
import Peers
import ServiceLifecycle
import Storage
import UnixSignals
import Volumes

/// The agent of a node: opens the parts in the order of DESIGN §3, runs them, and ends them in the reverse order.
///
/// What fails at the start ends the process with an ``AgentError`` that says what to do: a supervisor starts it again.
/// After the start only a part that cannot go on ends it.
public struct NodeAgent: Sendable {
    /// The version of the whole program.
    public static let version = "0.1.0"
    /// How long everything may take to end. Kubernetes gives a pod 30 s; what is not over by then is killed (P4 holds).
    static let shutdownLimit = Duration.seconds(20)
    /// The same where a successor waits for the mounts: what clients were reading they ask it for.
    static let handOverLimit = Duration.seconds(2)

    private let configuration: AgentConfiguration
    private let exporter: PrometheusExporter
    private let isReplacing: Bool
    private let pulse: Pulse?
    private let logger: Logger

    /// - Parameters:
    ///   - exporter: what ``Telemetry/bootstrap(_:)`` returned.
    ///   - isReplacing: asks the agent that has the holder's mounts to leave.
    ///   - pulse: the signs of life, where a supervisor looks for them.
    public init(
        _ configuration: AgentConfiguration, exporter: PrometheusExporter, isReplacing: Bool = false,
        pulse: Pulse? = nil
    ) {
        self.pulse = pulse
        self.configuration = configuration
        self.exporter = exporter
        self.isReplacing = isReplacing
        logger = Logger(label: "larder.agent")
    }

    /// Runs until SIGTERM or SIGINT.
    ///
    /// - Throws: ``AgentError`` where a part cannot start or go on.
    public func run() async throws(AgentError) {
        Allocator.bound()
        raiseDescriptorLimit()
        let holds = try takeVolumes()
        let store = try openStore(keeping: holds?.stagingNames ?? [])
        let failure = await serve(store, holds)
        do throws(StorageError) {
            try store.close()
        } catch {
            // The next start recovers it, as after a crash.
            logger.error("store not closed", metadata: ["error": "\(error)"])
        }
        if let failure { throw failure }
        logger.info("ended")
    }

    /// A store has one open file for each 256 MiB, and peers and jobs have connections: the usual 1,024 are too few.
    private func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 {
            logger.warning("file limit not raised", metadata: ["limit": "\(limit.rlim_cur)"])
        }
    }

    private func takeVolumes() throws(AgentError) -> Holds? {
        guard let socket = configuration.hold else { return nil }
        var holds = Holds(socket: socket, resend: configuration.resend, isReplacing: isReplacing)
        let volumes = configuration.volumes.map {
            VolumeConfiguration($0, owner: configuration.owner, limits: configuration.limits)
        }
        try holds.take(volumes)
        return holds
    }

    private func serve(_ store: Store, _ holds: Holds?) async -> AgentError? {
        do {
            try ensureParent(of: configuration.control)
            try requireFuse()
            let parts = try AgentParts(configuration, store: store, holds: holds, logger: logger)
            exporter.beforeScrape { parts.collectGauges() }
            pulse?.watch { parts.volumes.compactMap(\.busyFor).max() }
            try await group(parts).run()
            return nil
        } catch let error as AgentError {
            return error
        } catch {
            return AgentError(.service, "the agent cannot go on", cause: "\(error)")
        }
    }

    /// In the order of dependency: what comes later uses what came before and ends before it. So mounts go first,
    /// while everything that could still answer their readers is there.
    private func group(_ parts: AgentParts) -> ServiceGroup {
        var services: [any Service] = [
            HealthServer(listen: configuration.telemetry, parts: parts, exporter: exporter, logger: logger),
            PeersPart(service: parts.peers, listen: configuration.listen),
            CachePart(cache: parts.cache),
        ]
        let volumes = parts.volumes.map { VolumePart(volume: $0, parts: parts, logger: logger) }
        let control = ControlPart(parts: parts, socket: .admin(path: configuration.control), logger: logger)
        if parts.holds == nil {
            services.append(control)
            services += volumes
        } else {
            // Mounts that a successor will serve are served for as long as requests of other doors are ended.
            services += volumes
            services.append(control)
        }
        var group = ServiceGroupConfiguration(
            services: services,
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger
        )
        group.maximumGracefulShutdownDuration =
            parts.holds == nil ? NodeAgent.shutdownLimit : NodeAgent.handOverLimit
        logger.info(
            "starting",
            metadata: [
                "version": "\(NodeAgent.version)", "site": "\(configuration.site)", "name": "\(configuration.name)",
                "agent": "\(parts.peers.agent.hex)", "listen": "\(configuration.listen)",
                "store": "\(configuration.store.path)", "volumes": "\(configuration.volumes.map(\.name))",
            ]
        )
        return ServiceGroup(configuration: group)
    }

    private func openStore(keeping names: Set<String>) throws(AgentError) -> Store {
        let store = StoreConfiguration(
            directory: configuration.store.path,
            quota: configuration.store.quota?.bytes,
            freeFraction: configuration.store.freeFraction.fraction,
            keptStaging: names
        )
        do throws(StorageError) {
            return try Store.open(store, logger: Logger(label: "larder.storage"))
        } catch {
            throw AgentError(.store, "the store '\(configuration.store.path)' cannot be opened", cause: error.message)
        }
    }

    private func ensureParent(of socket: String) throws(AgentError) {
        let path = socket.split(separator: "/").dropLast()
        for count in 1...max(1, path.count) where !path.isEmpty {
            let directory = "/" + path.prefix(count).joined(separator: "/")
            guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
                let reason = String(cString: strerror(errno))
                throw AgentError(
                    .address, "the directory '\(directory)' of the control socket cannot be made", cause: reason)
            }
        }
    }

    private func requireFuse() throws(AgentError) {
        guard !configuration.volumes.isEmpty, access("/dev/fuse", F_OK) != 0 else { return }
        throw AgentError(.volume, "/dev/fuse is missing, and volumes are mounts: \(FuseDevice.remedy)")
    }
}

enum FuseDevice {
    static let remedy =
        "load the module on the node ('modprobe fuse'), and give the agent's container the device (privileged, or a "
        + "hostPath of type CharDevice for /dev/fuse)"
}
