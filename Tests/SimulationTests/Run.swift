// SPDX-License-Identifier: Apache-2.0

import Content
import Peers

/// What one run showed.
struct Report {
    var seed: UInt64
    var failures: [String] = []
    /// Microseconds from the end of the faults until all replicas were equal.
    var convergence: Int64 = 0
    /// Microseconds that a publication took when nothing was wrong: the longest.
    var publication: Int64 = 0
    /// Pushes per publication when nothing is wrong, one at a time and in a burst.
    var pushes = 0.0
    var burstPushes = 0.0
    /// Pulls per publication then: what a request that failed late made of a peer that lives.
    var pulls = 0.0
    /// Bytes per second of heartbeats, requests and answers, when nothing changes: of one agent, and over all links.
    var heartbeatBytes = 0.0
    var linkBytes = 0.0
    /// Publications in all, and times that a clock was refused.
    var publications = 0
    var refusals = 0
}

/// One run: agents meet, work while faults happen, converge, and then work when nothing is wrong.
struct Run {
    /// Seconds after the faults until all replicas must be equal: a request that was lost with the last fault is given
    /// up after ten, and a heartbeat and a few answers follow.
    static let convergenceMax: Int64 = 16
    /// A clock that was 75 s ahead gave versions that are refused for 15 s more.
    static let driftMax: Int64 = 35
    static let calmCount = 6
    static let burstCount = 200

    let scenario: Scenario
    let world: World
    private var report: Report
    private var serial: UInt64 = 0
    private let shared: [Key]

    init(
        seed: UInt64,
        scenario: Scenario,
        trace: ((String) -> Void)? = nil,
        replica: (AgentID) throws -> any Replica
    ) rethrows {
        self.scenario = scenario
        world = try scenario.world(seed: seed, replica: replica)
        world.trace = trace
        report = Report(seed: seed)
        shared = (0..<15).compactMap { try? Key("ci/k\($0)") }
    }

    /// A run with disks in memory.
    static func report(seed: UInt64, scenario: Scenario, trace: ((String) -> Void)? = nil) -> Report {
        var run = Run(seed: seed, scenario: scenario, trace: trace) { MemoryReplica(agent: $0) }
        return run.play()
    }

    mutating func play() -> Report {
        meet()
        work()
        converge()
        if world.truth.failures.isEmpty {
            publishInCalm()
            giveUp()
            burst()
            listen()
            settle()
        }
        report.failures = world.truth.failures
        report.publications = world.truth.publications.count
        report.refusals = world.agents.reduce(0) { $0 + $1.refusals }
        return report
    }

    /// Agents start at about the same time; P11: each takes writes before it has met anybody.
    private mutating func meet() {
        for agent in world.agents {
            world.plan(after: world.dice.within(0...1000) * Simulated.millisecond) { [world] in
                agent.start()
                if world.dice.chance(0.1) { agent.put(world.newKey(), .inline([0])) }
            }
        }
        world.run(for: 2 * Simulated.second)
    }

    private mutating func work() {
        world.planFaults(scenario)
        for _ in 0..<scenario.workCount {
            serial += 1
            let (number, keys) = (serial, shared)
            world.plan(after: world.dice.within(0...scenario.faultSeconds * Simulated.second)) { [world] in
                world.dice.one(of: world.up)?.work(keys + [world.newKey()], number)
            }
        }
        world.run(for: scenario.faultSeconds * Simulated.second)
    }

    private mutating func converge() {
        world.heal(scenario)
        let healed = world.now
        let limit = scenario.drift > Int64(HybridClock.driftMax) ? Run.driftMax : Run.convergenceMax
        // What follows from the last events, as removals do, may be under way yet when all are equal for a moment.
        world.run(for: 3 * Simulated.second)
        if !world.run(until: healed + limit * Simulated.second - world.now, { world.isConverged }) {
            world.truth.fail("not converged \(limit) s after the faults: \(world.differences)")
        }
        report.convergence = world.now - healed
        world.checkDirectories()
        if !world.run(until: 10 * Simulated.second, { world.isAcquainted }) {
            world.truth.fail(world.strangers)
        }
    }

    /// P5: a new key is found everywhere when its publication returned.
    private mutating func publishInCalm() {
        let before = world.traffic
        for _ in 0..<Run.calmCount {
            guard let agent = world.dice.one(of: writers) else { return }
            let key = world.newKey()
            let begun = world.now
            var took: Int64?
            agent.put(key, .inline([1])) { [world] isAcknowledged in
                took = world.now - begun
                if !isAcknowledged { world.truth.fail("n\(agent.index)'s \(key) was not acknowledged in calm") }
                for other in world.up where (try? other.replica.entry(key)) == .some(nil) {
                    world.truth.fail("P5: n\(agent.index)'s \(key) is published and n\(other.index) lacks it")
                }
            }
            _ = world.run(until: 1100 * Simulated.millisecond, step: 50 * Simulated.millisecond) { took != nil }
            report.publication = max(report.publication, took ?? 0)
            if took == nil { world.truth.fail("P5: n\(agent.index)'s \(key) was not published") }
        }
        report.pushes = Double(world.traffic.pushes.messages - before.pushes.messages) / Double(Run.calmCount)
        report.pulls = Double(world.traffic.pulls.messages - before.pulls.messages) / Double(Run.calmCount)
    }

    /// P1: three hold an object and all give it up at the same moment, each believing that others hold it.
    private mutating func giveUp() {
        serial += 1
        let key = world.newKey()
        let agents = writers.shuffled(using: &world.dice).prefix(3)
        agents.first?.putObject(key, serial)
        world.run(for: 300 * Simulated.millisecond)
        for agent in agents.dropFirst() { agent.fetch(key) }
        world.run(for: 300 * Simulated.millisecond)
        agents.first?.evictEverywhere(key)
        world.run(for: 300 * Simulated.millisecond)
    }

    /// One whose clock was far ahead is refused for as long as its versions are.
    private var writers: [SimulatedAgent] {
        world.up.filter { agent in world.up.allSatisfy { !agent.isFarAhead(of: $0) } }
    }

    /// Many publications of one agent cost few messages.
    private mutating func burst() {
        guard let agent = world.dice.one(of: writers) else { return }
        let before = world.traffic.pushes.messages
        for _ in 0..<Run.burstCount {
            let key = world.newKey()
            world.plan(after: world.dice.within(0...200) * Simulated.millisecond) { agent.put(key, .inline([2])) }
        }
        world.run(for: 600 * Simulated.millisecond)
        report.burstPushes = Double(world.traffic.pushes.messages - before) / Double(Run.burstCount)
    }

    /// What it costs to be there.
    private mutating func listen() {
        let before = world.traffic
        world.traffic.countsBytes = true
        world.run(for: Simulated.second)
        world.traffic.countsBytes = false
        let bytes = Double(world.traffic.heartbeats.bytes - before.heartbeats.bytes)
        report.heartbeatBytes = bytes / Double(world.up.count)
        report.linkBytes = Double(world.traffic.linkHeartbeats.bytes - before.linkHeartbeats.bytes)
    }

    /// At the end all is as at the beginning of the calm: equal, and nobody behind.
    private mutating func settle() {
        if !world.run(until: 5 * Simulated.second, { world.isConverged }) {
            world.truth.fail("not converged after the calm")
        }
        world.checkDirectories()
    }
}
