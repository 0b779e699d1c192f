// SPDX-License-Identifier: Apache-2.0

/// Who may have how much of the store: a value that is asked and answers, and waits for nothing (P8).
///
/// Older claims win: an asker for whom nothing more can be evicted takes the space of younger ones, youngest first, if
/// that is enough, and is refused otherwise. So the oldest always gets to its end, and nobody waits for anybody.
public struct Quota: Sendable {
    /// What an asker is told.
    public enum Decision: Hashable, Sendable {
        case granted
        /// Free this many bytes of what is stored, then ask again with `afterEviction`. The room is kept for the asker.
        case evict(UInt64)
        /// These claims lose their space to the asker, who has it now; or, where more than 0 is to be evicted besides,
        /// has the room kept as after ``evict(_:)``.
        case revoke([UInt64], thenEvict: UInt64)
        /// Nothing can help.
        case refused
    }

    private struct Holder {
        var held: UInt64 = 0
        /// Asked for, and waiting for an eviction.
        var pending: UInt64 = 0
        var isRevoked = false
    }

    /// The most bytes of everything.
    public var byteCount: UInt64
    private var holders: [UInt64: Holder] = [:]
    private var newest: UInt64 = 0

    public init(byteCount: UInt64) { self.byteCount = byteCount }

    /// Bytes that claims hold.
    public var held: UInt64 { holders.values.reduce(0) { $0 + ($1.isRevoked ? 0 : $1.held) } }

    /// A new claim, younger than all others, which holds nothing.
    public mutating func open() -> UInt64 {
        newest += 1
        holders[newest] = Holder()
        return newest
    }

    /// Ends a claim; what it held is free.
    public mutating func close(_ claim: UInt64) { holders[claim] = nil }

    /// Gives back a part of what a claim holds, at most all of it.
    public mutating func release(_ bytes: UInt64, of claim: UInt64) {
        guard let held = holders[claim]?.held else { return }
        holders[claim]?.held = held - min(held, bytes)
    }

    /// Asks for more.
    ///
    /// - Parameters:
    ///   - stored: bytes of the store that are no claim's.
    ///   - afterEviction: the asker did what it was told and could free no more.
    public mutating func reserve(
        _ bytes: UInt64, for claim: UInt64, stored: UInt64, afterEviction: Bool
    ) -> Decision {
        guard let holder = holders[claim], !holder.isRevoked else { return .refused }
        holders[claim]?.pending = 0
        let own = holder.held.saturating(bytes)
        guard own <= byteCount else { return .refused }
        // Room that others were told to make is theirs; but an older claim is not refused for a younger one's sake.
        var (firm, pendingOfYounger): (UInt64, UInt64) = (own, 0)
        for (other, holder) in holders where other != claim {
            firm = firm.saturating(holder.held)
            if other < claim {
                firm = firm.saturating(holder.pending)
            } else {
                pendingOfYounger = pendingOfYounger.saturating(holder.pending)
            }
        }
        let wanted = firm.saturating(stored)
        let courteous = wanted.saturating(afterEviction ? 0 : pendingOfYounger)
        let evictable = min(courteous - min(courteous, byteCount), stored)
        if courteous <= byteCount || (wanted <= byteCount && evictable == 0) {
            grant(bytes, claim)
            return .granted
        }
        if !afterEviction, firm <= byteCount {
            holders[claim]?.pending = bytes
            return .evict(evictable)
        }
        // What claims lack among themselves cannot be had from what is stored.
        return revoke(for: bytes, claim, excess: afterEviction ? wanted - byteCount : firm - byteCount, wanted: wanted)
    }

    private mutating func revoke(for bytes: UInt64, _ claim: UInt64, excess: UInt64, wanted: UInt64) -> Decision {
        guard let (victims, freed) = victims(of: claim, for: excess) else { return .refused }
        for victim in victims { holders[victim] = Holder(isRevoked: true) }
        let rest = wanted - min(wanted, freed)
        if rest <= byteCount {
            grant(bytes, claim)
            return .revoke(victims, thenEvict: 0)
        }
        holders[claim]?.pending = bytes
        return .revoke(victims, thenEvict: rest - byteCount)
    }

    /// The youngest claims that together hold `excess`, all younger than the asker's; nil where they do not.
    private func victims(of claim: UInt64, for excess: UInt64) -> ([UInt64], UInt64)? {
        var (victims, freed): ([UInt64], UInt64) = ([], 0)
        for (other, holder) in holders.sorted(by: { $0.key > $1.key }) where other > claim && holder.held > 0 {
            guard freed < excess else { break }
            victims.append(other)
            freed = freed.saturating(holder.held)
        }
        return freed >= excess ? (victims, freed) : nil
    }

    private mutating func grant(_ bytes: UInt64, _ claim: UInt64) { holders[claim]?.held += bytes }
}

extension UInt64 {
    fileprivate func saturating(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
