// SPDX-License-Identifier: Apache-2.0

import Content
import Control
import Foundation
import Logging
import Metrics
import NIOConcurrencyHelpers
import Objects
import Peers
import Storage
import Volumes

/// The parts of one agent, joined but not yet running, and what can be told of them together.
final class AgentParts: Sendable {
    let configuration: AgentConfiguration
    let store: Store
    let peers: PeerService
    /// Nil: agents speak plaintext.
    let keyring: Keyring?
    let cache: ObjectCache
    let volumes: [Volume]
    /// Where a holder keeps the mounts.
    let holds: Holds?
    /// The admin socket accepts requests.
    let isControlServing = NIOLockedValueBox(false)
    private let begin = ContinuousClock.now
    private let gauges = StateGauges()

    init(_ configuration: AgentConfiguration, store: Store, holds: Holds?, logger: Logger) throws(AgentError) {
        self.configuration = configuration
        self.store = store
        let keyring = try configuration.keyring()
        self.keyring = keyring
        let peers: PeerService
        do throws(StorageError) {
            peers = try PeerService(
                configuration: PeersConfiguration(configuration),
                store: store,
                keyring: keyring,
                logger: Logger(label: "larder.peers")
            )
        } catch {
            throw AgentError(.store, "the directory of '\(store.directory)' cannot be read", cause: error.message)
        }
        let cache = ObjectCache(
            store: store,
            directory: peers.directory,
            peers: peers,
            site: configuration.site,
            uplinkBytesPerSecond: configuration.pacedUplink.map { Double($0) },
            limits: Objects.Limits(configuration.limits),
            rules: configuration.keepingRules,
            coreCount: ProcessInfo.processInfo.activeProcessorCount,
            logger: Logger(label: "larder.objects")
        )
        self.peers = peers
        self.cache = cache
        let begin = begin
        self.holds = holds
        volumes = configuration.volumes.map { volume in
            let describe: @Sendable () -> [UInt8] = {
                let facts = StateReport(
                    configuration: configuration, store: store, peers: peers, keyring: keyring, cache: cache,
                    begin: begin)
                return facts.volumeStatus(of: volume.name)
            }
            return Volume(
                configuration: VolumeConfiguration(volume, owner: configuration.owner, limits: configuration.limits),
                cache: cache,
                special: SpecialFiles(program: "/proc/self/exe", status: describe) { lines in
                    try await HintLine.take(lines, namespace: volume.namespace, cache: cache)
                },
                logger: Logger(label: "larder.volumes"),
                held: holds?.holds[volume.name]?.mount
            )
        }
    }

    /// What can be told of the agent now.
    var report: StateReport {
        StateReport(
            configuration: configuration,
            store: store,
            peers: peers,
            keyring: keyring,
            cache: cache,
            begin: begin,
            serving: Set(volumes.filter(\.isServing).map(\.configuration.name))
        )
    }

    /// What the control sockets tell of the agent as a whole.
    var facts: AgentFacts {
        AgentFacts(
            namespaces: configuration.volumes.map(\.namespace),
            status: { [self] in try report.status() },
            checks: { [self] in report.checks(of: $0) },
            name: { [self] in report.name(of: $0) }
        )
    }

    /// Every mount serves and requests are accepted. Says nothing of peers and links: an agent alone is enough (P11).
    var unreadyReasons: [String] {
        var reasons = volumes.filter { !$0.isServing }.map {
            "the mount of volume \($0.configuration.name) does not serve"
        }
        if !isControlServing.withLockedValue({ $0 }) { reasons.append("the control socket does not serve") }
        return reasons
    }

    func collectGauges() {
        gauges.set(store: store, volumes: volumes, members: peers.members())
        if let keyring { gauges.certificate.record(keyring.current.end.timeIntervalSinceNow) }
    }
}

/// Gauges that are read off the parts at each scrape.
private struct StateGauges: Sendable {
    /// Seconds until this agent's certificate ends; below 0 it has.
    let certificate = Gauge(label: "larder_certificate_expiry_seconds")
    private let used = Gauge(label: "larder_store_used_bytes")
    private let quota = Gauge(label: "larder_store_quota_bytes")
    private let chunks = Gauge(label: "larder_store_chunks")
    private let serving = Gauge(label: "larder_volumes_serving")
    private let alive = Gauge(label: "larder_members", dimensions: [("state", "alive")])
    private let other = Gauge(label: "larder_members", dimensions: [("state", "not-alive")])

    func set(store: Store, volumes: [Volume], members: [Member]) {
        used.record(store.space.usedBytes)
        quota.record(store.space.quotaBytes)
        chunks.record(store.chunks.statistics.chunks)
        serving.record(volumes.filter(\.isServing).count)
        let aliveCount = members.filter { $0.state == .alive }.count
        alive.record(aliveCount)
        other.record(members.count - aliveCount)
    }
}

extension PeersConfiguration {
    init(_ configuration: AgentConfiguration) {
        self.init(
            name: configuration.name,
            site: configuration.site,
            listen: PeerAddress(configuration.listen),
            peers: configuration.peers.static.map { PeerAddress($0) },
            dns: configuration.peers.dns.map { PeerAddress($0) },
            links: configuration.links.map { Link(site: $0.site, address: $0.address.map { PeerAddress($0) }) },
            uplink: configuration.uplink.map { Double($0.bytesPerSecond) }
        )
        allow = configuration.allow.map(Set.init)
        headroom = configuration.headroom.fraction
        limits.settle = configuration.limits.settle
    }
}

extension PeerAddress {
    init(_ endpoint: Endpoint) { self.init(host: endpoint.host, port: Int(endpoint.port)) }
}

extension Objects.Limits {
    init(_ limits: AgentConfiguration.Limits) {
        self.init()
        stall = limits.stall
        settle = limits.settle
        objectByteCount = limits.object.bytes
        memoryByteCount = Int(clamping: limits.memory.bytes)
        lease = limits.lease
        entryCount = Int(clamping: limits.entries)
    }
}

extension VolumeConfiguration {
    init(_ volume: AgentConfiguration.Volume, owner: AgentConfiguration.Owner, limits: AgentConfiguration.Limits) {
        let access: Access =
            switch volume.access {
            case .readOnly: .readOnly
            case .readWrite: .readWrite
            }
        self.init(
            name: volume.name,
            namespace: volume.namespace,
            path: volume.path,
            access: access,
            uid: owner.uid,
            gid: owner.gid,
            openFilesMax: Int(clamping: limits.openFiles)
        )
    }
}
