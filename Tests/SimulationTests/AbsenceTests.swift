// SPDX-License-Identifier: Apache-2.0

import Content
import Peers
import Testing

@Suite("Simulation: agents that are gone for good", .timeLimit(.minutes(5)))
struct AbsenceTests {
    private static let absence: Int64 = 60

    @Test("P1: what only an agent held that is gone goes from the directory; behind a cut link nobody is gone")
    func gone() {
        for seed in 0..<12 as Range<UInt64> {
            let failures = AbsenceTests.run(seed)
            #expect(failures.isEmpty, "seed \(seed): \(failures.joined(separator: "; "))")
        }
    }

    private static func run(_ seed: UInt64) -> [String] {
        var scenario = Scenario()
        scenario.sites = [4, 3, 3]
        scenario.absence = .seconds(absence)
        let world = scenario.world(seed: seed) { MemoryReplica(agent: $0) }
        for agent in world.agents { agent.start() }
        world.run(for: 3 * Simulated.second)
        let keys = world.agents.map { agent in
            let key = world.newKey()
            agent.putObject(key, UInt64(agent.index))
            return key
        }
        let shared = world.newKey()
        let victim = world.agents.filter { !$0.configuration.isGateway }.randomElement(using: &world.dice)
        guard let victim else { return ["nobody can go"] }
        victim.putObject(shared, 1000)
        world.run(for: Simulated.second)
        world.agents.first { $0 !== victim }?.fetch(shared)
        world.run(for: Simulated.second)

        // Another one is away for a while.
        let away = world.agents.filter { $0 !== victim && !$0.configuration.isGateway }.randomElement(
            using: &world.dice)
        away?.stop()
        world.plan(after: absence / 2 * Simulated.second) { away?.start() }
        world.lose(victim)
        for agent in world.up where agent.site == victim.site { agent.forget(victim.address) }
        world.network.cutLinks = [[0, Int(world.dice.within(1...2))]]
        world.run(for: 3 * absence * Simulated.second)
        if !world.truth.buried.isEmpty { world.truth.fail("somebody was taken for gone while a link was cut") }

        world.heal(scenario)
        let isGone = { world.up.allSatisfy { (try? $0.replica.entry(keys[victim.index]))??.isTombstone == true } }
        if !world.run(until: 3 * absence / 2 * Simulated.second, isGone) {
            world.truth.fail("P1: nobody holds \(keys[victim.index]) and it is not removed")
        }
        // Whoever only has nothing to say stays.
        world.run(for: 4 * absence * Simulated.second)
        if world.truth.buried != [victim.id] {
            world.truth.fail("taken for gone were \(world.truth.buried.map(\.low).sorted()) and not \(victim.id.low)")
        }
        for key in keys + [shared] where key != keys[victim.index] {
            for agent in world.up where (try? agent.replica.entry(key))??.isTombstone != false {
                world.truth.fail("\(key) is held and n\(agent.index) does not have it")
            }
        }
        return world.truth.failures
    }
}
