// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOConcurrencyHelpers

/// The store's space: what is stored, what is claimed, and what the disk still has. Immediate; never waits.
public final class SpaceLedger: Sendable {
    /// One writer's or fetch's right to space. Older claims compare as less.
    public struct Claim: Sendable, Hashable, Comparable {
        let number: UInt64
        public static func < (a: Claim, b: Claim) -> Bool { a.number < b.number }
    }

    /// What an asker is told.
    public enum Reservation: Hashable, Sendable {
        case granted
        /// Free this many bytes first, then ask again with `afterEviction: true`.
        case evict(UInt64)
        /// Nothing can help: the answer is ENOSPC.
        case refused
    }

    private struct State {
        var quota: Quota
        var owners: [UInt64: (label: String, onRevoke: @Sendable () -> Void)] = [:]
    }

    private let state: NIOLockedValueBox<State>
    private let occupancy: Occupancy
    private let directory: String
    private let freeFraction: Double
    private let isFixed: Bool

    init(_ configuration: StoreConfiguration, occupancy: Occupancy) throws(StorageError) {
        directory = configuration.directory
        freeFraction = configuration.freeFraction
        isFixed = configuration.quota != nil
        self.occupancy = occupancy
        state = NIOLockedValueBox(State(quota: Quota(byteCount: configuration.quota ?? 0)))
        _ = overuse()
        guard isFixed || disk() != nil else { throw StorageError.system(errno, "look at the disk of", directory) }
    }

    /// Opens a claim, younger than all others, which holds nothing.
    ///
    /// - Parameter onRevoke: called on an older asker's thread when that one takes the space. It must see to it that
    ///   the claim's writes fail with ENOSPC from then on, and should give the disk space back (truncate the staging
    ///   file) before it returns, for the asker has been promised it.
    public func open(label: String, onRevoke: @escaping @Sendable () -> Void) -> Claim {
        state.withLockedValue { state in
            let number = state.quota.open()
            state.owners[number] = (label, onRevoke)
            return Claim(number: number)
        }
    }

    /// Ends a claim and gives back everything that it holds.
    public func close(_ claim: Claim) {
        let owner = state.withLockedValue { state in
            state.quota.close(claim.number)
            return state.owners.removeValue(forKey: claim.number)
        }
        // What the closure holds on to is released here, outside the lock.
        _ = owner
    }

    /// Asks for `bytes` more than the claim holds.
    ///
    /// - Parameter afterEviction: the asker was told to evict, and freed what it could.
    public func reserve(_ bytes: UInt64, for claim: Claim, afterEviction: Bool = false) -> Reservation {
        let stored = occupancy.stored
        let (decision, revoked) = state.withLockedValue { state in
            let decision = state.quota.reserve(
                bytes, for: claim.number, stored: stored, afterEviction: afterEviction
            )
            guard case .revoke(let victims, _) = decision else { return (decision, [(@Sendable () -> Void)]()) }
            return (decision, victims.compactMap { state.owners[$0]?.onRevoke })
        }
        for onRevoke in revoked { onRevoke() }
        switch decision {
        case .granted, .revoke(_, thenEvict: 0): return .granted
        case .evict(let bytes), .revoke(_, thenEvict: let bytes): return .evict(bytes)
        case .refused: return .refused
        }
    }

    /// Gives back a part of what a claim holds: bytes that became stored, or were not needed.
    public func release(_ bytes: UInt64, of claim: Claim) {
        state.withLockedValue { $0.quota.release(bytes, of: claim.number) }
    }

    /// The most bytes of everything.
    public var quotaBytes: UInt64 { state.withLockedValue { $0.quota.byteCount } }

    /// Bytes of segments and of all claims.
    public var usedBytes: UInt64 { occupancy.stored + state.withLockedValue { $0.quota.held } }

    /// Bytes that can be reserved without eviction.
    public var freeBytes: UInt64 {
        let (quota, used) = (quotaBytes, usedBytes)
        return quota - min(quota, used)
    }

    /// What open claims are for, oldest first, for a person.
    public var claims: [String] {
        state.withLockedValue { state in state.owners.sorted { $0.key < $1.key }.map(\.value.label) }
    }

    /// Looks at the disk: how many bytes are to be evicted because the quota or the free part of the disk is overdrawn.
    ///
    /// Others fill the disk too, so it is to be asked every second or so (P8); a quota that follows the disk is
    /// adapted by it.
    public func overuse() -> UInt64 {
        let (stored, staged) = (occupancy.stored, occupancy.staged)
        guard let disk = disk() else { return 0 }
        let keep = UInt64(Double(disk.total) * freeFraction)
        let shortage = keep - min(keep, disk.free)
        return state.withLockedValue { state in
            if !isFixed {
                let spare = disk.free - min(disk.free, keep)
                let mine = stored + staged
                state.quota.byteCount = mine - min(mine, shortage) + spare
            }
            let used = stored + state.quota.held
            return max(shortage, used - min(used, state.quota.byteCount))
        }
    }

    private func disk() -> (total: UInt64, free: UInt64)? {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { return nil }
        let unit = UInt64(status.f_frsize)
        return (UInt64(status.f_blocks) * unit, UInt64(status.f_bavail) * unit)
    }
}
