// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Control

/// `larder status` and `larder status ci/app/1.tar`
struct StatusVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the state of the agent, or of a key.",
        discussion: "A volume's socket shows its own volume only; the admin socket shows everything."
    )

    @Argument(help: "NAMESPACE/PATH")
    var key: String?

    @OptionGroup var options: Options

    func run() async throws {
        guard let key else {
            let status = try await options.withClient { try await $0.status() }
            return options.json ? try Output.json(status) : show(status)
        }
        try Options.checked([key])
        let status = try await options.withClient { try await $0.status(of: key) }
        return options.json ? try Output.json(status) : show(status)
    }

    private func show(_ status: KeyStatusMessage) {
        let missing = status.missingBytes > 0 ? ", \(ByteSize(bytes: status.missingBytes).rounded) missing" : ""
        var rows = StatVerb.rows(status.entry) + [["place", status.place + missing]]
        if let replication = status.replication { rows.append(["replication", replication]) }
        rows.append(["held by", status.holders.isEmpty ? "-" : status.holders.joined(separator: ", ")])
        if status.isPinned { rows.append(["pinned", "yes"]) }
        if status.isSettling { rows.append(["settling", "yes: it is just being published"]) }
        if status.isHinted { rows.append(["hinted", "yes: it is being fetched"]) }
        Output.table(rows)
    }

    private func show(_ status: StatusMessage) {
        let agent = status.agent
        let uptime = Duration.seconds(Int64(agent.uptimeSeconds)).rounded
        var rows = [["agent", "\(agent.site)/\(agent.name)  \(agent.version)  up \(uptime)  id \(agent.id)"]]
        if let store = status.store {
            let used = ByteSize(bytes: store.usedBytes).rounded
            let quota = ByteSize(bytes: store.quotaBytes).rounded
            let corrupt = store.corruptChunks > 0 ? ", \(store.corruptChunks) CORRUPT" : ""
            rows.append(["store", "\(store.path)  \(used) of \(quota), \(store.chunks) chunks\(corrupt)"])
        }
        for volume in status.volumes {
            let state = volume.isServing ? "serving" : "NOT SERVING"
            rows.append(["volume", "\(volume.name)  \(volume.path)/mnt  \(volume.access)  \(state)"])
        }
        for member in status.members {
            let state = member.isAlive ? "alive" : "DEAD"
            let security = member.security.map { "  \($0)" } ?? ""
            let failure = member.failure.map { "  \($0)" } ?? ""
            let lag = member.lag.map { $0 > 0 ? ", behind on \($0) agents" : "" } ?? ""
            rows.append([
                member.isLink ? "link" : "peer",
                "\(member.site)/\(member.name)  \(member.address)\(security)  \(state)\(lag)\(failure)",
            ])
        }
        if let traffic = status.traffic {
            let peers = ByteSize(bytes: traffic.peerBytes).rounded
            let links = ByteSize(bytes: traffic.linkBytes).rounded
            let rate = traffic.linkBytesPerSecond.map {
                ", links gave \(ByteSize(bytes: UInt64(max(0, $0))).rounded)/s"
            }
            rows.append([
                "fetched", "\(peers) from peers, \(links) over links, \(traffic.failures) failures\(rate ?? "")",
            ])
            let hints =
                "\(traffic.hintsRunning) running, \(traffic.hintsQueued) queued, \(traffic.hintsAnnounced) announced"
            rows.append(["hints", hints])
        }
        Output.table(rows)
    }
}
