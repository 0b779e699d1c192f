// SPDX-License-Identifier: Apache-2.0

import Content
import Testing

@Suite struct HybridClockTests {
    @Test func readingsRiseWhateverTheWallClockDoes() {
        var generator = Seeded("readingsRise")
        var clock = HybridClock()
        var last = HybridTime(rawValue: 0)
        var wall: UInt64 = 1_000_000
        for _ in 0..<10_000 {
            wall = UInt64(max(0, Int64(wall) + Int64.random(in: -5000...5000, using: &generator)))
            let next = clock.next(wallMilliseconds: wall)
            #expect(next > last)
            last = next
        }
    }

    @Test func aReadingIsAboveEveryReadingSeen() throws {
        var clock = HybridClock()
        let seen = HybridTime(milliseconds: 50_000)
        try clock.observe(seen, wallMilliseconds: 10_000)
        #expect(clock.next(wallMilliseconds: 10_000) > seen)
    }

    @Test func aClockFarAheadIsRefusedAndChangesNothing() throws {
        var clock = HybridClock()
        let far = HybridTime(milliseconds: 10_000 + HybridClock.driftMax + 1)
        #expect { try clock.observe(far, wallMilliseconds: 10_000) } throws: {
            ($0 as? ContentError)?.code == .clockDrift
        }
        #expect(clock.next(wallMilliseconds: 10_000) < far)
        let near = HybridTime(milliseconds: 10_000 + HybridClock.driftMax)
        try clock.observe(near, wallMilliseconds: 10_000)
        #expect(clock.next(wallMilliseconds: 10_000) > near)
    }

    @Test func aClockGoesOnAboveAReadingKeptFromBefore() {
        var clock = HybridClock(after: HybridTime(milliseconds: 99_000))
        #expect(clock.next(wallMilliseconds: 5).milliseconds == 99_000)
    }

    @Test func versionsAreTotallyOrdered() {
        let (a, b) = (AgentID(high: 1, low: 2), AgentID(high: 1, low: 3))
        let early = Version(time: HybridTime(milliseconds: 1), agent: b)
        let late = Version(time: HybridTime(milliseconds: 2), agent: a)
        #expect(early < late)
        #expect(Version(time: late.time, agent: a) < Version(time: late.time, agent: b))
    }

    @Test func agentIDsSurviveTheirText() {
        let id = AgentID.random()
        #expect(AgentID(hex: id.hex) == id)
        #expect(AgentID(hex: id.hex + "0") == nil)
        #expect(AgentID(hex: String(repeating: "g", count: 32)) == nil)
    }
}
