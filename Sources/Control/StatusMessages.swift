// SPDX-License-Identifier: Apache-2.0

/// The state of an agent, as `larder status` shows it. A volume's socket tells no more than its own volume.
public struct StatusMessage: Codable, Hashable, Sendable {
    public struct Agent: Codable, Hashable, Sendable {
        public var id: String
        public var name: String
        public var site: String
        public var version: String
        public var uptimeSeconds: Double

        public init(id: String, name: String, site: String, version: String, uptimeSeconds: Double) {
            self.id = id
            self.name = name
            self.site = site
            self.version = version
            self.uptimeSeconds = uptimeSeconds
        }
    }

    public struct Store: Codable, Hashable, Sendable {
        public var path: String
        public var quotaBytes: UInt64
        public var usedBytes: UInt64
        public var freeBytes: UInt64
        public var chunks: UInt64
        /// Records found damaged since the start; healed from other copies where there are any.
        public var corruptChunks: UInt64

        public init(
            path: String,
            quotaBytes: UInt64,
            usedBytes: UInt64,
            freeBytes: UInt64,
            chunks: UInt64,
            corruptChunks: UInt64
        ) {
            self.path = path
            self.quotaBytes = quotaBytes
            self.usedBytes = usedBytes
            self.freeBytes = freeBytes
            self.chunks = chunks
            self.corruptChunks = corruptChunks
        }
    }

    public struct Volume: Codable, Hashable, Sendable {
        public var name: String
        public var namespace: String
        public var path: String
        public var access: String
        /// Its mount serves.
        public var isServing: Bool

        public init(name: String, namespace: String, path: String, access: String, isServing: Bool) {
            self.name = name
            self.namespace = namespace
            self.path = path
            self.access = access
            self.isServing = isServing
        }
    }

    /// Another agent, of this site or of one that is linked.
    public struct Member: Codable, Hashable, Sendable {
        public var id: String?
        public var name: String
        public var site: String
        public var address: String
        public var isAlive: Bool
        /// Seconds since it was last heard.
        public var silentSeconds: Double?
        /// Agents of whose publications it lacks something.
        public var lag: UInt64?
        /// It is reached over a link.
        public var isLink: Bool
        /// `TLS 1.3` or `plaintext`.
        public var security: String?
        /// Why it cannot be talked with, where it cannot.
        public var failure: String?

        public init(
            id: String?,
            name: String,
            site: String,
            address: String,
            isAlive: Bool,
            silentSeconds: Double?,
            lag: UInt64?,
            isLink: Bool,
            security: String? = nil,
            failure: String? = nil
        ) {
            self.id = id
            self.name = name
            self.site = site
            self.address = address
            self.isAlive = isAlive
            self.silentSeconds = silentSeconds
            self.lag = lag
            self.isLink = isLink
            self.security = security
            self.failure = failure
        }
    }

    /// Bytes and work since the start.
    public struct Traffic: Codable, Hashable, Sendable {
        public var peerBytes: UInt64
        public var linkBytes: UInt64
        public var failures: UInt64
        /// Decoded bytes a second that links gave lately.
        public var linkBytesPerSecond: Double?
        /// Hints that wait for their key, that wait for their turn, and that are worked on.
        public var hintsAnnounced: UInt64
        public var hintsQueued: UInt64
        public var hintsRunning: UInt64

        public init(
            peerBytes: UInt64,
            linkBytes: UInt64,
            failures: UInt64,
            linkBytesPerSecond: Double?,
            hintsAnnounced: UInt64,
            hintsQueued: UInt64,
            hintsRunning: UInt64
        ) {
            self.peerBytes = peerBytes
            self.linkBytes = linkBytes
            self.failures = failures
            self.linkBytesPerSecond = linkBytesPerSecond
            self.hintsAnnounced = hintsAnnounced
            self.hintsQueued = hintsQueued
            self.hintsRunning = hintsRunning
        }
    }

    public var agent: Agent
    public var store: Store?
    public var volumes: [Volume]
    public var members: [Member]
    public var traffic: Traffic?

    public init(agent: Agent, store: Store?, volumes: [Volume], members: [Member], traffic: Traffic?) {
        self.agent = agent
        self.store = store
        self.volumes = volumes
        self.members = members
        self.traffic = traffic
    }
}

/// The state of one key.
public struct KeyStatusMessage: Codable, Hashable, Sendable {
    public var entry: EntryMessage
    /// `local` (all of it is here), `partial` or `remote`.
    public var place: String
    /// `local` (one agent holds it), `shared` (two of a site) or `remote` (two sites); absent for what has no bytes in
    /// any store.
    public var replication: String?
    /// Bytes of the object that are not here.
    public var missingBytes: UInt64
    /// The agents that hold all of it, `site/name`, or their ids where their names are not known.
    public var holders: [String]
    public var isPinned: Bool
    /// Its writer is just closing it, here or at a peer.
    public var isSettling: Bool
    /// A hint has it fetched.
    public var isHinted: Bool
}

/// One thing that `larder doctor` looks at.
public struct CheckMessage: Codable, Hashable, Sendable {
    public enum State: String, Codable, Sendable, CaseIterable { case ok, warn, fail }

    public var name: String
    public var state: State
    /// What was found.
    public var message: String
    /// What to do about it; absent where nothing is due.
    public var remedy: String?

    public init(_ name: String, _ state: State, _ message: String, remedy: String? = nil) {
        self.name = name
        self.state = state
        self.message = message
        self.remedy = remedy
    }
}

/// The checks of `larder doctor`, in the order in which they are shown.
public struct ChecksMessage: Codable, Hashable, Sendable {
    public var checks: [CheckMessage]

    public init(checks: [CheckMessage]) { self.checks = checks }
}
