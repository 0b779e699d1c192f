// SPDX-License-Identifier: Apache-2.0

import Storage

/// Room on the disk, reserved before it is used; makes room by eviction where that helps.
///
/// Nobody waits for space while holding space (P8): an asker waits for one round of eviction, never for another asker.
final class Space: Sendable {
    let ledger: SpaceLedger
    private let collector: Collector

    init(ledger: SpaceLedger, collector: Collector) {
        self.ledger = ledger
        self.collector = collector
    }

    /// Reserves `bytes` for a claim.
    ///
    /// - Throws: ``ObjectError`` `noSpace` where eviction does not help and no younger claim gives way.
    func reserve(_ bytes: UInt64, for claim: SpaceLedger.Claim) async throws {
        switch ledger.reserve(bytes, for: claim) {
        case .granted: return
        case .refused: throw refusal(bytes)
        case .evict(let needed): try await collector.reclaim(needed)
        }
        guard case .granted = ledger.reserve(bytes, for: claim, afterEviction: true) else { throw refusal(bytes) }
    }

    /// Runs `body` while `bytes` are reserved; what `body` stored is by then counted as stored.
    func withReservation<R>(of bytes: UInt64, label: String, _ body: () async throws -> R) async throws -> R {
        let claim = ledger.open(label: label, onRevoke: {})
        defer { ledger.close(claim) }
        try await reserve(bytes, for: claim)
        return try await body()
    }

    func refusal(_ bytes: UInt64) -> ObjectError {
        ObjectError(
            .noSpace,
            "no room for \(bytes) more bytes: the store uses \(ledger.usedBytes) of its quota of \(ledger.quotaBytes) "
                + "and nothing more can be evicted; raise store.quota or unpin keys"
        )
    }
}
