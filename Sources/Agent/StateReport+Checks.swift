// SPDX-License-Identifier: Apache-2.0

import Content
import Control
import Glibc
import Peers
import Storage

extension StateReport {
    /// How far the hybrid clock may run ahead of this node's before somebody's NTP is worth a look; 60 s are refused.
    private static let driftWarning = Duration.seconds(5)

    /// What `larder doctor` looks at from within the agent. A job sees what concerns its volume, and neither other
    /// volumes nor the network.
    func checks(of namespace: String?) -> [CheckMessage] {
        let mounts = configuration.volumes.filter { namespace == nil || $0.namespace == namespace }.map(mount)
        guard namespace == nil else { return mounts + [disk(), images()] }
        return [fuseDevice()] + mounts + [disk(), damage(), clock()] + security() + members() + links() + [images()]
    }

    private func fuseDevice() -> CheckMessage {
        access("/dev/fuse", F_OK) == 0
            ? CheckMessage("fuse", .ok, "/dev/fuse is there")
            : CheckMessage("fuse", .fail, "/dev/fuse is missing", remedy: FuseDevice.remedy)
    }

    private func mount(_ volume: AgentConfiguration.Volume) -> CheckMessage {
        let name = "volume \(volume.name)"
        guard serving.contains(volume.name) else {
            return CheckMessage(
                name,
                .fail,
                "\(volume.mountPath) does not serve",
                remedy: "the agent's log says why; it mounts again every second"
            )
        }
        return CheckMessage(name, .ok, "\(volume.mountPath) serves, \(volume.access.rawValue)")
    }

    private func disk() -> CheckMessage {
        var status = statvfs()
        guard statvfs(store.directory, &status) == 0, status.f_blocks > 0 else {
            let reason = String(cString: strerror(errno))
            return CheckMessage(
                "disk", .fail, "\(store.directory): \(reason)", remedy: "look at the disk and its mount")
        }
        let free = Double(status.f_bavail) / Double(status.f_blocks)
        let least = configuration.store.freeFraction.fraction
        let used = ByteSize(bytes: store.space.usedBytes).rounded
        let quota = ByteSize(bytes: store.space.quotaBytes).rounded
        let text = "\(fixedText(free * 100, decimals: 0))% of the disk is free, the store has \(used) of \(quota)"
        guard free >= least else {
            return CheckMessage(
                "disk",
                .warn,
                "\(text); \(configuration.store.freeFraction) should be free",
                remedy: "others fill the disk: the store gives way; free some space or move store.path"
            )
        }
        return CheckMessage("disk", .ok, text)
    }

    private func damage() -> CheckMessage {
        let corrupt = store.chunks.statistics.corrupt
        guard corrupt > 0 else { return CheckMessage("store", .ok, "no damaged chunk was met since the start") }
        return CheckMessage(
            "store",
            .warn,
            "\(corrupt) damaged chunks were met since the start; they were dropped and are fetched again where others "
                + "have them",
            remedy: "the disk under \(store.directory) may be failing: look at 'dmesg' and 'smartctl'"
        )
    }

    /// The hybrid clock never runs behind this node's, and ahead of it only as far as some other agent's clock does.
    private func clock() -> CheckMessage {
        let ahead = Int64(peers.directory.nextVersion().time.milliseconds) - Timestamp.now.nanoseconds / 1_000_000
        guard ahead > Int64(StateReport.driftWarning / .milliseconds(1)) else {
            return CheckMessage("clock", .ok, "no other agent's clock is noticeably ahead")
        }
        let drift = Duration.milliseconds(ahead).rounded
        return CheckMessage(
            "clock",
            .warn,
            "another agent's clock is \(drift) ahead of this node's; publications over 60 s ahead are refused",
            remedy: "check NTP on all nodes ('timedatectl')"
        )
    }

    private func members() -> [CheckMessage] {
        let members = peers.members().filter { $0.role != .link }
        guard !members.isEmpty else {
            let isAlone = configuration.peers.static.isEmpty && configuration.peers.dns == nil
            return [CheckMessage("peers", .ok, isAlone ? "none is configured: alone is enough" : "none was found yet")]
        }
        let silent = members.filter { $0.state != .alive }
        guard !silent.isEmpty else { return [CheckMessage("peers", .ok, "all \(members.count) answer")] }
        let names = silent.map { "\($0.name) (\($0.address))\(reason($0))" }.joined(separator: ", ")
        return [
            CheckMessage(
                "peers",
                .warn,
                "\(silent.count) of \(members.count) do not answer: \(names)",
                remedy: "look whether they run and whether their port can be reached from this node"
            )
        ]
    }

    private func links() -> [CheckMessage] {
        configuration.links.map { link in
            if peers.isLinked(to: link.site) { return CheckMessage("link \(link.site)", .ok, "it is up") }
            let address = link.address.map { "\($0)" } ?? "its gateway, which has to call here"
            let failed = peers.members().first { $0.site == link.site && $0.failure != nil }
            return CheckMessage(
                "link \(link.site)",
                .warn,
                "it is down: \(address) does not answer\(failed.map(reason) ?? ""); keys of that site that are not here are answered as missing",
                remedy: "look at the line, at the other gateway, and at what filters packets between them"
            )
        }
    }

    /// Not something that can be seen from here: what makes rebuilt images cross whole.
    private func images() -> CheckMessage {
        CheckMessage(
            "images",
            .ok,
            "'docker save' under the containerd image store (the default of fresh Docker 29 installs) writes gzip'd "
                + "layers; rebuilt ones share nearly nothing, so they cross links whole",
            remedy: "where that is so: {\"features\": {\"containerd-snapshotter\": false}} in daemon.json, or "
                + "'dockerd --feature=containerd-snapshotter=false' for docker:dind"
        )
    }
}
