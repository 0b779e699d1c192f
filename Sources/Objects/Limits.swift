// SPDX-License-Identifier: Apache-2.0

/// The bounds on what one agent does at once, each with its default and its reason.
public struct Limits: Sendable {
    /// How long a read whose bytes nobody can give waits before it fails: long enough for an agent to restart and a
    /// line to come back, short enough that a job fails while somebody looks.
    public var stall: Duration = .seconds(60)
    /// How long a lookup waits for a key that is being published (DESIGN §5).
    public var settle: Duration = .seconds(1)
    /// How long an open waits for a key that a hint announced and that does not exist yet. A lookup holds the
    /// directory's lock in the kernel meanwhile, so this stays well below the stall limit.
    public var announced: Duration = .seconds(10)
    /// The largest object, bytes.
    public var objectByteCount: UInt64 = 1 << 40
    /// The most names; a new one beyond them is refused.
    public var entryCount: Int = 1_000_000
    /// Anonymous memory of the whole agent, bytes; windows and caches below are sized from it.
    public var memoryByteCount: Int = 256 << 20
    /// The longest that an object is kept for a reader elsewhere that does not ask again.
    public var lease: Duration = .seconds(24 * 3600)
    /// How often a source is asked to go on keeping an object, so that another one is found soon where it is gone. It
    /// keeps it for ``lease`` whatever happens to the line, and until it is told that it need not.
    public var leaseRenewal: Duration = .seconds(60)
    /// How long a hint for a key that does not exist is remembered.
    public var hintAge: Duration = .seconds(6 * 3600)
    /// How long a site must have the same agents before copies that went with one are replaced: a restart reshuffles
    /// nothing.
    public var copyGrace: Duration = .seconds(60)
    /// How often it is looked for what has been kept for long enough.
    public var retentionPeriod: Duration = .seconds(60)
    /// Hinted keys remembered at once: a hint is 1 KiB at most, so this is 16 MiB at most.
    public var hintCount: Int = 16_384

    public init() {}

    /// Objects chunked at once while their bytes arrive: each holds two windows.
    var ingestCount: Int { max(2, memoryByteCount / 4 / (2 * Limits.ingestWindow)) }
    /// Bytes of decoded chunks kept for the next request of a sequential reader.
    var chunkCacheByteCount: Int { memoryByteCount / 16 }

    /// Bytes that are cut at a time: enough chunks to occupy every core, few enough to keep memory small.
    static let ingestWindow = 8 << 20
    /// Blocks asked for ahead of a sequential reader: about 32 MiB, five seconds of a 50 Mbit/s link.
    static let readAheadBlocks = 8
    /// Blocks beyond these among which as many are looked for that lack, and asked for: about 1 GiB, which a reader of what
    /// is here passes in a second or two. A rebuilt image lacks some here and some there.
    static let blocksLookedAhead = 256
    /// Requests of a prefetch under way at once: one on the wire, one being served, one being asked for.
    static let prefetchRequests = 3
    /// How often new chunks are brought to the disk: a power loss costs what was published without `fsync` since then,
    /// and a start after a crash looks through no more than that.
    static let syncPeriod = Duration.seconds(30)
    /// Space is reserved for a growing object in steps that double up to this.
    static let reservationStepMax: UInt64 = 32 << 20
}
