// SPDX-License-Identifier: Apache-2.0

public import Content

/// A writer as its process may leave it behind: the bytes are in the staging file of that name.
public struct WriterState: Sendable, Hashable {
    public var key: Key
    public var metadata: Metadata
    /// The time was set by the caller; otherwise it is that of the last write.
    public var isTimePinned: Bool
    public var isModified: Bool
    /// It was `fsync`ed.
    public var isDurable: Bool
    /// The staging file's name.
    public var staging: String
    /// The version whose bytes the staging file still lacks.
    public var base: Entry?

    public init(
        key: Key, metadata: Metadata, isTimePinned: Bool, isModified: Bool, isDurable: Bool, staging: String,
        base: Entry?
    ) {
        self.key = key
        self.metadata = metadata
        self.isTimePinned = isTimePinned
        self.isModified = isModified
        self.isDurable = isDurable
        self.staging = staging
        self.base = base
    }
}
