// SPDX-License-Identifier: Apache-2.0

import Content
import Peers

// What goes wrong.

extension World {
    /// Plans the faults of a scenario, from now on.
    func planFaults(_ scenario: Scenario) {
        let length = scenario.faultSeconds * Simulated.second
        network.duplication = 0.02
        for _ in 0..<scenario.faultCount {
            plan(after: dice.within(0...length)) { [self] in
                fault(scenario, length: dice.within(200...5000) * Simulated.millisecond)
            }
        }
        // The first gateway of every site may be one of them: the second takes over.
        var chosen: Set<Int> = []
        for _ in 0..<scenario.goneCount {
            guard let agent = dice.one(of: agents), !isLastGateway(agent, chosen) else { continue }
            chosen.insert(agent.index)
            plan(after: dice.within(0...length)) { [self] in lose(agent) }
        }
        if scenario.drift > 0, let agent = agents.filter({ !$0.configuration.isGateway }).randomElement(using: &dice) {
            note("n\(agent.index) is \(scenario.drift) ms ahead")
            agent.drift = scenario.drift
        }
    }

    private func isLastGateway(_ agent: SimulatedAgent, _ chosen: Set<Int>) -> Bool {
        agent.configuration.isGateway
            && agents.filter { $0.site == agent.site && $0.configuration.isGateway && !chosen.contains($0.index) }.count
                < 2
    }

    /// A node goes for good: what only it has goes with it.
    func lose(_ agent: SimulatedAgent) {
        guard !agent.isGone else { return }
        note("n\(agent.index) is gone")
        agent.isGone = true
        agent.stop()
        truth.losable[agent.id, default: []].append(0...UInt64.max)
    }

    private func fault(_ scenario: Scenario, length: Int64) {
        guard let agent = dice.one(of: up) else { return }
        switch dice.within(0...6) {
        case 0, 1: crash(agent, losesPower: scenario.losesPower && dice.chance(0.5), for: length)
        case 2: divide(for: length)
        case 3: cutLink(scenario, for: length)
        case 4:
            let slowness = dice.within(20...400) * Simulated.millisecond
            note("n\(agent.index) is slow: \(slowness / 1000) ms")
            network.slowness[agent.index] = slowness
            plan(after: length) { [self] in network.slowness[agent.index] = 0 }
        case 5:
            let loss = Double(dice.within(1...20)) / 100
            note("loss \(loss)")
            network.loss = loss
            plan(after: length) { [self] in network.loss = 0 }
        default:
            // All agents of a site, one after the other: an upgrade.
            for (place, one) in agents.filter({ $0.site == agent.site }).enumerated() {
                plan(after: Int64(place) * 100 * Simulated.millisecond) { [self] in
                    crash(one, losesPower: false, for: 300 * Simulated.millisecond)
                }
            }
        }
    }

    private func crash(_ agent: SimulatedAgent, losesPower: Bool, for length: Int64) {
        guard agent.isUp else { return }
        note("n\(agent.index) \(losesPower ? "loses power" : "crashes") for \(length / 1000) ms")
        agent.stop()
        if losesPower { agent.losePower() }
        plan(after: length) { if !agent.isGone { agent.start() } }
    }

    private func divide(for length: Int64) {
        let number = network.partition.max().map { $0 + 1 } ?? 1
        let chosen = agents.indices.filter { _ in dice.chance(0.3) }
        note("\(chosen.count) agents are cut off")
        for index in chosen { network.partition[index] = number }
        plan(after: length) { [self] in for index in chosen { network.partition[index] = 0 } }
    }

    private func cutLink(_ scenario: Scenario, for length: Int64) {
        guard scenario.sites.count > 1 else { return }
        let other = Int(dice.within(1...Int64(scenario.sites.count - 1)))
        note("link to s\(other) is cut")
        network.cutLinks.insert([0, other])
        plan(after: length) { [self] in network.cutLinks.remove([0, other]) }
    }

    /// The faults are over: lines work, clocks are right, who is not gone is there.
    func heal(_ scenario: Scenario) {
        note("everything works")
        network.heal()
        for agent in agents where !agent.isGone {
            agent.start()
            if agent.drift == scenario.drift { agent.drift = 0 }
        }
    }
}

extension SimulatedAgent {
    /// The disk has what it had at the last sync; replicas may have more of ours than we do.
    func losePower() {
        guard let memory = replica as? MemoryReplica else { return }
        hasLostPower = true
        let now = memory.contents.upTo[id] ?? 0
        memory.restore(synced)
        let kept = synced.upTo[id] ?? 0
        // What it gives next is numbered above the gap, so this run alone is in question.
        if now > kept { world.truth.losable[id, default: []].append(kept + 1...now) }
    }

    /// What a catalog does every now and then.
    func sync() {
        if let memory = replica as? MemoryReplica { synced = memory.contents }
    }
}
