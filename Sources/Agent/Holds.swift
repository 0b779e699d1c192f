// SPDX-License-Identifier: Apache-2.0

import FUSE
import Foundation
import Glibc
import Holder
import Logging
import Volumes

/// The volumes that this agent has of a holder, by name. Taken before the store is opened: by then whoever had them is
/// gone, and the store is free.
struct Holds: Sendable {
    /// A mount, and the connection that says that it is this agent's.
    struct Hold: Sendable {
        let volume: HeldVolume
        let mount: HeldMount
    }

    private let socket: String
    private let resend: AgentConfiguration.Resend
    private let isReplacing: Bool
    private(set) var holds: [String: Hold] = [:]

    /// - Parameter isReplacing: asks the agent that has the volumes to leave.
    init(socket: String, resend: AgentConfiguration.Resend, isReplacing: Bool) {
        self.socket = socket
        self.resend = resend
        self.isReplacing = isReplacing
    }

    /// Takes every volume; blocks until they are free.
    mutating func take(_ volumes: [VolumeConfiguration]) throws(AgentError) {
        for volume in volumes { holds[volume.name] = try take(volume) }
    }

    /// Takes one, or makes it.
    func take(_ volume: VolumeConfiguration) throws(AgentError) -> Hold {
        do {
            let held = try HeldVolume.take(
                volume.name,
                path: volume.mountPoint,
                byteCount: HeldMount.byteCount,
                layout: HeldMount.layout,
                holder: socket,
                replacing: isReplacing
            ) {
                try Volume.prepare(volume)
            }
            let mount = HeldMount(
                device: try duplicate(held.device),
                memory: try SharedMemory(held.memory),
                epoch: held.epoch,
                recovery: resend == .off ? .memory : .resend
            )
            try mount.check()
            return Hold(volume: held, mount: mount)
        } catch let error as AgentError {
            throw error
        } catch {
            throw AgentError(.volume, "volume \(volume.name) cannot be had from the holder", cause: "\(error)")
        }
    }

    private func duplicate(_ descriptor: Int32) throws(AgentError) -> Int32 {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else {
            throw AgentError(.volume, "a descriptor cannot be duplicated", cause: String(cString: strerror(errno)))
        }
        return copy
    }

    /// Files of the store that predecessors were writing.
    var stagingNames: Set<String> { holds.values.reduce(into: []) { $0.formUnion(Volume.stagingNames(in: $1.mount)) } }

    /// Hears the holder out on a thread of its own until the process ends.
    static func listen(to volume: HeldVolume, _ logger: Logger) {
        Thread.detachNewThread {
            volume.listen {
                logger.notice("another agent takes over", metadata: ["volume": "\(volume.name)"])
                kill(getpid(), SIGTERM)
            } onLost: { reason in
                logger.critical("fenced", metadata: ["volume": "\(volume.name)", "reason": "\(reason)"])
                _exit(75)
            }
        }
    }
}
