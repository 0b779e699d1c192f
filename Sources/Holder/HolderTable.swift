// SPDX-License-Identifier: Apache-2.0

/// Who has which volume: events in, actions out. Times are milliseconds of a clock that only rises.
public struct HolderTable: Sendable {
    /// What the holder is to do.
    public enum Action: Hashable, Sendable {
        /// Count the epoch up and send the descriptors.
        case grant(connection: Int, volume: String)
        case tell(connection: Int, HolderMessage)
        case mount(connection: Int, volume: String, path: String, byteCount: Int)
        /// The agent was asked to leave and did not.
        case kill(connection: Int)
        /// End the mount: what waits for it gets an error, and the path refuses from then on.
        case drop(volume: String, unmount: Bool)
    }

    /// How long an agent that was asked to leave may take before it is killed (its own limit is 2 s), and how long
    /// one that was not asked is waited for.
    public static let drainLimit: UInt64 = 10_000

    private struct Volume {
        let path: String
        var owner: Int?
        var waiter: (connection: Int, isReplacing: Bool, deadline: UInt64)?
        /// Nobody answers since; nil while somebody does.
        var unservedSince: UInt64?
    }

    private var volumes: [String: Volume] = [:]
    /// How long requests wait for an agent: as long as a read may stall (P6), then they fail.
    private let grace: UInt64

    public init(grace: UInt64) { self.grace = grace }

    /// Volumes and their paths.
    public var paths: [String: String] { volumes.mapValues(\.path) }

    /// The connection that has a volume.
    public func owner(of volume: String) -> Int? { volumes[volume]?.owner }

    /// An agent asks for a volume.
    public mutating func take(
        _ name: String, path: String, by connection: Int, replacing: Bool, now: UInt64
    ) -> [Action] {
        guard let volume = volumes[name] else { return [.tell(connection: connection, HolderMessage(.unknown, name))] }
        guard volume.path == path else {
            let reason = "volume '\(name)' is mounted at '\(volume.path)' and not at '\(path)': stop the holder first"
            return [.tell(connection: connection, HolderMessage(.refused, name, reason))]
        }
        guard let owner = volume.owner else { return grant(name, to: connection) }
        guard volume.waiter == nil else {
            let reason = "another agent waits for volume '\(name)' already"
            return [.tell(connection: connection, HolderMessage(.refused, name, reason))]
        }
        volumes[name]?.waiter = (connection, replacing, now + HolderTable.drainLimit)
        return replacing ? [.tell(connection: owner, HolderMessage(.drain))] : []
    }

    /// The path is ready for a mount.
    public mutating func mount(_ name: String, path: String, byteCount: Int, by connection: Int, now: UInt64)
        -> [Action]
    {
        guard volumes[name] == nil else { return take(name, path: path, by: connection, replacing: false, now: now) }
        return [.mount(connection: connection, volume: name, path: path, byteCount: byteCount)]
    }

    /// A volume is there: mounted just now, given back by its agent (`owner`), or inherited (`now`: unserved since).
    public mutating func add(_ name: String, path: String, owner: Int?, now: UInt64) {
        volumes[name] = Volume(path: path, owner: owner, unservedSince: now)
    }

    /// The agent on this connection serves the volume.
    public mutating func serves(_ name: String, _ connection: Int) {
        guard volumes[name]?.owner == connection || volumes[name]?.owner == nil else { return }
        volumes[name]?.owner = connection
        volumes[name]?.unservedSince = nil
    }

    /// The agent says that the mount is gone.
    public mutating func drop(_ name: String, by connection: Int) -> [Action] {
        guard let volume = volumes[name], volume.owner == connection else { return [] }
        return forget(name, volume, unmount: false)
    }

    /// A connection ended: volumes of it go to who waits for them.
    public mutating func closed(_ connection: Int, now: UInt64) -> [Action] {
        var actions: [Action] = []
        for (name, volume) in volumes {
            if volume.waiter?.connection == connection { volumes[name]?.waiter = nil }
            guard volume.owner == connection else { continue }
            volumes[name]?.owner = nil
            volumes[name]?.unservedSince = volume.unservedSince ?? now
            if let waiter = volumes[name]?.waiter { actions += grant(name, to: waiter.connection) }
        }
        return actions
    }

    /// Time passed.
    public mutating func tick(now: UInt64) -> [Action] {
        var actions: [Action] = []
        for (name, volume) in volumes {
            if let waiter = volume.waiter, now >= waiter.deadline, let owner = volume.owner {
                if waiter.isReplacing {
                    volumes[name]?.waiter?.deadline = now + HolderTable.drainLimit
                    actions.append(.kill(connection: owner))
                } else {
                    volumes[name]?.waiter = nil
                    let reason = "volume '\(name)' is served by another agent: stop that one, or start with --replace"
                    actions.append(.tell(connection: waiter.connection, HolderMessage(.refused, name, reason)))
                }
            }
            if let since = volume.unservedSince, now >= since + grace { actions += forget(name, volume, unmount: true) }
        }
        return actions
    }

    private mutating func grant(_ name: String, to connection: Int) -> [Action] {
        volumes[name]?.owner = connection
        volumes[name]?.waiter = nil
        return [.grant(connection: connection, volume: name)]
    }

    private mutating func forget(_ name: String, _ volume: Volume, unmount: Bool) -> [Action] {
        volumes[name] = nil
        let drop = Action.drop(volume: name, unmount: unmount)
        guard let waiter = volume.waiter else { return [drop] }
        return [drop, .tell(connection: waiter.connection, HolderMessage(.unknown, name))]
    }
}
