// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What the store takes of the disk, told by those who write and read by the ledger.
///
/// Two counters and not a lock: they are added to on every insert, and each is exact by itself.
final class Occupancy: Sendable {
    private let segments = Atomic<UInt64>(0)
    private let staging = Atomic<UInt64>(0)

    /// Bytes of all segments.
    var stored: UInt64 { segments.load(ordering: .relaxed) }
    /// Bytes written to staging files.
    var staged: UInt64 { staging.load(ordering: .relaxed) }

    func setStored(_ bytes: UInt64) { segments.store(bytes, ordering: .relaxed) }

    func addStaged(_ more: UInt64) { staging.wrappingAdd(more, ordering: .relaxed) }
    func removeStaged(_ less: UInt64) { staging.wrappingSubtract(less, ordering: .relaxed) }
}
