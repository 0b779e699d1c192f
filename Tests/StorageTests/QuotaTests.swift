// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Storage
import Testing

/// Nobody waits for space while holding space, and the quota holds (P8).
@Suite(.timeLimit(.minutes(5))) struct QuotaTests {
    @Test func whatFitsIsGranted() {
        var quota = Quota(byteCount: 100)
        let claim = quota.open()
        #expect(quota.reserve(60, for: claim, stored: 40, afterEviction: false) == .granted)
        #expect(quota.held == 60)
        quota.release(10, of: claim)
        #expect(quota.reserve(10, for: claim, stored: 40, afterEviction: false) == .granted)
        quota.close(claim)
        #expect(quota.held == 0)
    }

    @Test func whatIsStoredMakesRoom() {
        var quota = Quota(byteCount: 100)
        let claim = quota.open()
        #expect(quota.reserve(50, for: claim, stored: 70, afterEviction: false) == .evict(20))
        #expect(quota.held == 0)
        #expect(quota.reserve(50, for: claim, stored: 50, afterEviction: true) == .granted)
    }

    @Test func roomMadeForOneIsNotTakenByAnother() {
        var quota = Quota(byteCount: 100)
        let (one, two) = (quota.open(), quota.open())
        #expect(quota.reserve(50, for: one, stored: 80, afterEviction: false) == .evict(30))
        #expect(quota.reserve(30, for: two, stored: 50, afterEviction: false) == .evict(30))
        #expect(quota.reserve(50, for: one, stored: 50, afterEviction: true) == .granted)
        #expect(quota.reserve(30, for: two, stored: 20, afterEviction: true) == .granted)
    }

    @Test func moreThanEverythingIsRefusedAtOnce() {
        var quota = Quota(byteCount: 100)
        let claim = quota.open()
        #expect(quota.reserve(101, for: claim, stored: 0, afterEviction: false) == .refused)
        #expect(quota.reserve(.max, for: claim, stored: .max, afterEviction: false) == .refused)
        #expect(quota.reserve(100, for: claim, stored: 0, afterEviction: false) == .granted)
        #expect(quota.reserve(1, for: claim, stored: 0, afterEviction: false) == .refused)
    }

    @Test func theYoungerGivesWayAndTheOlderDoesNot() {
        var quota = Quota(byteCount: 100)
        let (old, young) = (quota.open(), quota.open())
        #expect(quota.reserve(60, for: young, stored: 0, afterEviction: false) == .granted)
        #expect(quota.reserve(60, for: old, stored: 0, afterEviction: false) == .revoke([young], thenEvict: 0))
        #expect(quota.held == 60)
        #expect(quota.reserve(1, for: young, stored: 0, afterEviction: false) == .refused)
        let youngest = quota.open()
        #expect(quota.reserve(50, for: youngest, stored: 0, afterEviction: false) == .refused)
        #expect(quota.reserve(40, for: youngest, stored: 0, afterEviction: false) == .granted)
    }

    @Test func nobodyIsRevokedInVain() {
        var quota = Quota(byteCount: 100)
        let claims = (0..<4).map { _ in quota.open() }
        for (claim, bytes) in zip(claims, [UInt64(50), 20, 20, 10]) {
            #expect(quota.reserve(bytes, for: claim, stored: 0, afterEviction: false) == .granted)
        }
        // The two younger than the asker hold 30; it needs 40.
        #expect(quota.reserve(40, for: claims[1], stored: 0, afterEviction: false) == .refused)
        #expect(quota.held == 100)
        // The youngest first, and no more of them than needed.
        #expect(
            quota.reserve(10, for: claims[1], stored: 0, afterEviction: false) == .revoke([claims[3]], thenEvict: 0))
        #expect(quota.held == 100)
    }

    @Test func evictionAndRevocationTogetherMakeRoom() {
        var quota = Quota(byteCount: 100)
        let (old, young) = (quota.open(), quota.open())
        #expect(quota.reserve(30, for: young, stored: 50, afterEviction: false) == .granted)
        #expect(quota.reserve(80, for: old, stored: 50, afterEviction: false) == .revoke([young], thenEvict: 30))
        #expect(quota.reserve(80, for: old, stored: 20, afterEviction: true) == .granted)
    }

    /// Whatever is asked, in whatever order: what is granted and stored fits, and the oldest claim is never refused
    /// what the quota allows it once everything is evicted.
    @Test func theQuotaHoldsWhateverIsAsked() {
        var generator = Seeded("theQuotaHolds")
        for _ in 0..<300 {
            var quota = Quota(byteCount: 1000)
            var held: [UInt64: UInt64] = [:]
            var stored = UInt64.random(in: 0...1000, using: &generator)
            for _ in 0..<60 {
                if held.isEmpty || generator.next() % 4 == 0 { held[quota.open()] = 0 }
                guard let claim = held.keys.sorted().randomElement(using: &generator) else { continue }
                if generator.next() % 6 == 0 {
                    quota.close(claim)
                    held[claim] = nil
                    continue
                }
                let bytes = UInt64.random(in: 1...400, using: &generator)
                var decision = quota.reserve(bytes, for: claim, stored: stored, afterEviction: false)
                var rounds = 0
                while rounds < 2 {
                    rounds += 1
                    if case .revoke(let victims, let rest) = decision {
                        for victim in victims {
                            #expect(victim > claim)
                            held[victim] = nil
                            quota.close(victim)
                        }
                        decision = rest == 0 ? .granted : .evict(rest)
                    }
                    if case .evict(let need) = decision {
                        stored -= min(stored, generator.next() % 4 == 0 ? need / 2 : need)
                        decision = quota.reserve(bytes, for: claim, stored: stored, afterEviction: true)
                    }
                }
                if decision == .granted {
                    held[claim, default: 0] += bytes
                } else if claim == held.keys.min(), stored == 0 {
                    #expect((held[claim] ?? 0) + bytes > 1000)
                }
                #expect(quota.held == held.values.reduce(0, +))
                #expect(decision != .granted || quota.held + stored <= 1000)
            }
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct SpaceLedgerTests {
    @Test func claimsStoredChunksAndQuotaAddUp() throws {
        var generator = Seeded("claimsStoredChunksAndQuota")
        let directory = try TemporaryDirectory()
        let store = try directory.open(quota: 4 << 20)
        let ledger = store.space
        #expect(ledger.quotaBytes == 4 << 20)
        let claim = ledger.open(label: "a") {}
        #expect(ledger.reserve(1 << 20, for: claim) == .granted)
        let before = ledger.usedBytes
        let sample = Sample(generator.bytes(200_000))
        try store.chunks.insert(sample)
        #expect(ledger.usedBytes >= before + 200_000)
        #expect(ledger.freeBytes == ledger.quotaBytes - ledger.usedBytes)
        ledger.release(1 << 19, of: claim)
        #expect(ledger.claims == ["a"])
        ledger.close(claim)
        #expect(ledger.usedBytes == store.chunks.statistics.storedBytes)
        guard case .evict(let bytes) = ledger.reserve(4 << 20, for: ledger.open(label: "b") {}) else {
            Issue.record("no eviction asked for")
            return
        }
        #expect(bytes == store.chunks.statistics.storedBytes)
        #expect(ledger.overuse() == 0)
    }

    @Test func theYoungerWriterIsToldThatItLostItsSpace() throws {
        let store = try TemporaryDirectory().open(quota: 1 << 20)
        let told = NIOLockedValueBox<[String]>([])
        let old = store.space.open(label: "old") { told.withLockedValue { $0.append("old") } }
        let young = store.space.open(label: "young") { told.withLockedValue { $0.append("young") } }
        #expect(old < young)
        #expect(store.space.reserve(700_000, for: young) == .granted)
        #expect(store.space.reserve(700_000, for: old) == .granted)
        #expect(told.withLockedValue { $0 } == ["young"])
        #expect(store.space.reserve(1, for: young) == .refused)
        #expect(store.space.reserve(2 << 20, for: old) == .refused)
    }

    @Test func withoutAQuotaTheDiskKeepsItsFreePart() throws {
        let directory = try TemporaryDirectory()
        var configuration = directory.configuration(quota: nil)
        configuration.freeFraction = 0.999
        let full = try Store.open(configuration, logger: quiet)
        #expect(full.space.quotaBytes == 0)
        #expect(full.space.overuse() > 0)
        #expect(full.space.reserve(1, for: full.space.open(label: "x") {}) == .refused)
        try full.close()
        configuration.freeFraction = 0
        let roomy = try Store.open(configuration, logger: quiet)
        #expect(roomy.space.quotaBytes > 0)
        #expect(roomy.space.overuse() == 0)
    }
}
