// SPDX-License-Identifier: Apache-2.0

/// What goes with a name besides its bytes.
public struct Metadata: Hashable, Sendable {
    /// Permission bits (07777). Owners are not kept: a mount squashes them to one identity.
    public var mode: UInt16
    /// Time of last modification, nanoseconds since 1970.
    public var modified: Int64
    /// Set where the writer seems to have been cut off: a tar, zip, gzip or zstd stream without its end (P1).
    public var torn: Bool

    public init(mode: UInt16 = 0o644, modified: Int64, torn: Bool = false) {
        self.mode = mode & 0o7777
        self.modified = modified
        self.torn = torn
    }
}

/// What a key names, at one version.
public struct Entry: Hashable, Sendable {
    /// The most bytes of an object that travels in its entry and needs no chunk.
    public static let inlineByteCountMax = 4096
    /// The most bytes of a symbolic link's target: Linux's PATH_MAX.
    public static let targetByteCountMax = 4095

    public enum Body: Hashable, Sendable {
        /// The key was removed.
        case tombstone
        case directory
        case symlink(target: String)
        /// A small object, whole.
        case inline([UInt8])
        /// An object, by the digest of its manifest.
        case object(manifest: Digest, size: UInt64)
    }

    public let key: Key
    public let version: Version
    public let body: Body
    public let metadata: Metadata

    public init(key: Key, version: Version, body: Body, metadata: Metadata) {
        self.key = key
        self.version = version
        self.body = body
        self.metadata = metadata
    }

    /// Bytes of the object, of the link's target, or 0.
    public var size: UInt64 {
        switch body {
        case .tombstone, .directory: 0
        case .symlink(let target): UInt64(target.utf8.count)
        case .inline(let bytes): UInt64(bytes.count)
        case .object(_, let size): size
        }
    }

    public var isTombstone: Bool { body == .tombstone }

    /// The manifest's digest, where the entry has one.
    public var manifest: Digest? {
        if case .object(let manifest, _) = body { manifest } else { nil }
    }
}

/// One numbered change that an agent tells the others: the unit of the replicated directory (DESIGN §8).
public struct Publication: Hashable, Sendable {
    public enum Change: Hashable, Sendable {
        case entry(Entry)
        /// The agent began (`true`) or ceased (`false`) to hold the object of this manifest whole.
        case holding(manifest: Digest, held: Bool)
    }

    public let agent: AgentID
    /// 1, 2, 3… in the order in which the agent published; a change that a later one of the agent replaced is gone.
    public let number: UInt64
    public let change: Change

    public init(agent: AgentID, number: UInt64, change: Change) {
        self.agent = agent
        self.number = number
        self.change = change
    }
}
