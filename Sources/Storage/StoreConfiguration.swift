// SPDX-License-Identifier: Apache-2.0

/// Where a store lies and what it may take.
public struct StoreConfiguration: Sendable {
    /// The directory, made where it is missing.
    public var directory: String
    /// The most bytes of segments, staging files and reservations; nil: what keeps ``freeFraction`` of the disk free.
    public var quota: UInt64?
    /// The part of the disk that stays free whatever the quota: above the kubelet's thresholds for eviction (10 %) and
    /// for image collection (15 %), so that a node never loses pods to its cache (P8).
    public var freeFraction: Double
    /// The most bytes of a segment: enough that a terabyte has 4,000 of them, each an open file; few enough that one
    /// which died is soon unlinked.
    public var segmentByteCount: UInt64
    /// Staging files that an agent which died was writing and that will be gone on with; all others are removed.
    public var keptStaging: Set<String>
    /// Makes operations on the disk fail, in tests.
    public var faults: DiskFaults?

    public init(
        directory: String,
        quota: UInt64? = nil,
        freeFraction: Double = 0.20,
        segmentByteCount: UInt64 = 256 << 20,
        keptStaging: Set<String> = [],
        faults: DiskFaults? = nil
    ) {
        self.directory = directory
        self.quota = quota
        self.freeFraction = freeFraction
        self.segmentByteCount = segmentByteCount
        self.keptStaging = keptStaging
        self.faults = faults
    }
}
