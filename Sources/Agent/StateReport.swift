// SPDX-License-Identifier: Apache-2.0

import Content
import Control
import Foundation
import Objects
import Peers
import Storage

/// What an agent tells of itself: for `larder status`, `larder doctor` and the status file of its mounts.
struct StateReport: Sendable {
    let configuration: AgentConfiguration
    let store: Store
    let peers: PeerService
    let keyring: Keyring?
    let cache: ObjectCache
    let begin: ContinuousClock.Instant
    /// Names of volumes whose mount serves.
    var serving: Set<String> = []

    /// - Throws: `ObjectError` `io`.
    func status() throws -> StatusMessage {
        let status = try cache.status()
        return StatusMessage(
            agent: agent,
            store: StatusMessage.Store(
                path: store.directory,
                quotaBytes: status.quotaBytes,
                usedBytes: status.usedBytes,
                freeBytes: store.space.freeBytes,
                chunks: UInt64(clamping: status.chunks.chunks),
                corruptChunks: status.chunks.corrupt
            ),
            volumes: configuration.volumes.map { volume($0, isServing: serving.contains($0.name)) },
            members: status.members.map(member),
            traffic: StatusMessage.Traffic(
                peerBytes: status.fetchedFromPeers,
                linkBytes: status.fetchedOverLinks,
                failures: status.fetchFailures,
                linkBytesPerSecond: nil,
                hintsAnnounced: UInt64(clamping: status.hintsAnnounced),
                hintsQueued: UInt64(clamping: status.hintsQueued),
                hintsRunning: UInt64(clamping: status.hintsRunning)
            )
        )
    }

    /// What the status file of a mount says: the volume's own business, as JSON. Whoever reads it sees it served.
    func volumeStatus(of name: String) -> [UInt8] {
        let message = StatusMessage(
            agent: agent,
            store: nil,
            volumes: configuration.volumes.filter { $0.name == name }.map { volume($0, isServing: true) },
            members: [],
            traffic: nil
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        let json = (try? encoder.encode(message)).map { [UInt8]($0) } ?? []
        return json + [UInt8(ascii: "\n")]
    }

    /// `site/name` of an agent that is known, `site/id` of one that only its gateway knows.
    func name(of agent: AgentID) -> String? {
        if agent == peers.agent { return "\(configuration.site)/\(configuration.name)" }
        if let member = peers.members().first(where: { $0.agent == agent }) { return "\(member.site)/\(member.name)" }
        return peers.site(of: agent).map { "\($0)/\(agent.hex)" }
    }

    private var agent: StatusMessage.Agent {
        StatusMessage.Agent(
            id: peers.agent.hex,
            name: configuration.name,
            site: configuration.site,
            version: NodeAgent.version,
            uptimeSeconds: (ContinuousClock.now - begin) / .seconds(1)
        )
    }

    private func volume(_ volume: AgentConfiguration.Volume, isServing: Bool) -> StatusMessage.Volume {
        StatusMessage.Volume(
            name: volume.name,
            namespace: volume.namespace,
            path: volume.path,
            access: volume.access.rawValue,
            isServing: isServing
        )
    }

    private func member(_ member: Member) -> StatusMessage.Member {
        StatusMessage.Member(
            id: member.agent?.hex,
            name: member.name,
            site: member.site,
            address: "\(member.address)",
            isAlive: member.state == .alive,
            silentSeconds: member.silence.map { $0 / .seconds(1) },
            lag: UInt64(clamping: member.behind),
            isLink: member.role == .link,
            security: keyring == nil ? "plaintext" : "TLS 1.3",
            failure: member.state == .alive ? nil : member.failure
        )
    }
}
