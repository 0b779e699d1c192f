// SPDX-License-Identifier: Apache-2.0

/// Who asks.
public struct Request: Sendable {
    public let uid: UInt32
    public let gid: UInt32
    public let pid: Int32
    public let umask: UInt32
    /// The kernel's number of the request, the same when it comes again after a hand-over; 0 where no holder keeps the
    /// mount.
    public let unique: UInt64
    /// What is known of a request that a predecessor of this process had; nil for one that is new.
    public let replay: Replay?
}

/// Which attributes a setattr changes; nil leaves one as it is.
public struct AttributeChanges: Sendable {
    /// A point in time, or the present.
    public enum Time: Sendable {
        /// Nanoseconds since 1970.
        case at(Int64)
        case now
    }

    public var mode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?
    public var size: UInt64?
    public var accessed: Time?
    public var modified: Time?
}
