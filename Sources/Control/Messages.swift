// SPDX-License-Identifier: Apache-2.0

// What travels over the control socket as JSON; openapi.yaml describes the same. Fields are added, never renamed or
// removed, within /v1. Sizes are bytes, times RFC 3339 in UTC, durations seconds.

/// `{"error": {"code": "not-found", "message": "…"}}`: the body of every answer that is not a success.
public struct ErrorMessage: Codable, Hashable, Sendable {
    public struct Body: Codable, Hashable, Sendable {
        /// One of ``ControlError/Code``.
        public var code: String
        public var message: String
    }
    public var error: Body
}

/// What a key names.
public struct EntryMessage: Codable, Hashable, Sendable {
    public enum Kind: String, Codable, Sendable { case object, directory, symlink }

    public var key: String
    public var kind: Kind
    /// Bytes of the object or of the link's target; 0 for directories.
    public var size: UInt64
    /// Permission bits in octal, `644`; absent for a directory that only the keys below it imply.
    public var mode: String?
    /// Time of last modification.
    public var modified: String?
    /// The version, `TIME@AGENT`: the higher of two wins.
    public var version: String?
    /// The digest that names the object's bytes; absent for objects so small that they travel in their entry.
    public var manifest: String?
    /// Where a symbolic link leads.
    public var target: String?
    /// The stream that was written lacks its end: its writer was cut off.
    public var torn: Bool
}

/// A page of names.
public struct EntriesMessage: Codable, Hashable, Sendable {
    public var entries: [EntryMessage]
    /// What `after` has to be for the next page; absent at the end.
    public var next: String?
}

/// What became of a `PUT`.
public struct PutMessage: Codable, Hashable, Sendable {
    public var entry: EntryMessage
    /// Bytes that arrived.
    public var bytes: UInt64
    /// From the first byte to the publication.
    public var seconds: Double
    /// The publication is on the disk and survives power loss.
    public var durable: Bool
}

/// How a `GET` went, asked for after it by the id in its `x-larder-operation` header.
public struct OperationMessage: Codable, Hashable, Sendable {
    public var id: String
    public var key: String
    /// Bytes handed out so far.
    public var bytes: UInt64
    /// Of them, bytes that were here already.
    public var localBytes: UInt64
    /// Of them, bytes that came from other agents meanwhile.
    public var fetchedBytes: UInt64
    /// Time during which the request waited for bytes from elsewhere.
    public var waitedSeconds: Double
    /// It is over, well or not.
    public var done: Bool
    /// Why it ended early.
    public var error: ErrorMessage.Body?
}

/// "These keys will be read soon."
public struct HintMessage: Codable, Hashable, Sendable {
    public var keys: [String]
    /// Where they will be read; absent or empty: every other site.
    public var sites: [String]?
    /// Seconds from now until they are needed.
    public var deadlineSeconds: Double?
    /// 0 to 9, higher first; 5 where absent.
    public var priority: Int?

    public init(keys: [String], sites: [String]? = nil, deadlineSeconds: Double? = nil, priority: Int? = nil) {
        self.keys = keys
        self.sites = sites
        self.deadlineSeconds = deadlineSeconds
        self.priority = priority
    }
}

/// What the sites said to a hint.
public struct HintAnswerMessage: Codable, Hashable, Sendable {
    public struct Answer: Codable, Hashable, Sendable {
        public var key: String
        public var site: String
        /// `present`, `fetching`, `announced` (waits for the key to be published) or `failed`.
        public var state: String
        /// Bytes that the site lacks.
        public var missingBytes: UInt64
        /// Seconds until they are there, where anything is known of it.
        public var etaSeconds: Double?
        public var message: String?
    }
    public var answers: [Answer]
}

/// Pinned keys: their objects are not evicted here.
public struct PinsMessage: Codable, Hashable, Sendable {
    public var keys: [String]
}
