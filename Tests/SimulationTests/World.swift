// SPDX-License-Identifier: Apache-2.0

import Content
import Peers

/// Everything of one run: clock, chance, network, agents, and what really happened.
final class World {
    let seed: UInt64
    var timeline = Timeline()
    var dice: Dice
    var network: Network
    private(set) var agents: [SimulatedAgent] = []
    private var keyCount = 0
    private var byHost: [String: SimulatedAgent] = [:]
    var traffic = Traffic()
    var truth = Truth()
    /// Lines for a person who replays a seed; nil: nobody does.
    var trace: ((String) -> Void)?
    /// Where everything that crosses the network is encoded and decoded, as between two processes.
    let usesCoding: Bool

    init(seed: UInt64, agents: Int, usesCoding: Bool) {
        self.seed = seed
        self.usesCoding = usesCoding
        dice = Dice(seed: seed)
        network = Network(agents: agents)
    }

    func add(_ agent: SimulatedAgent) {
        agents.append(agent)
        byHost[agent.address.host] = agent
    }

    func agent(at host: String) -> SimulatedAgent? { byHost[host] }

    var now: Int64 { timeline.now }
    var up: [SimulatedAgent] { agents.filter(\.isUp) }

    func run(for duration: Int64) {
        let end = now + duration
        while let happen = timeline.next(until: end) { happen() }
    }

    /// Runs until a condition holds, which is looked at every `step`; false: it did not within `limit`.
    func run(until limit: Int64, step: Int64 = 200 * Simulated.millisecond, _ condition: () -> Bool) -> Bool {
        let end = now + limit
        while !condition() {
            guard now < end else { return false }
            run(for: step)
        }
        return true
    }

    func plan(after delay: Int64, _ happen: @escaping () -> Void) { timeline.plan(after: delay, happen) }

    func note(_ line: @autoclosure () -> String) { trace?("\(now / 1000) ms: \(line())") }

    /// A key that nobody used.
    func newKey() -> Key {
        keyCount += 1
        // The text is made here, so it is a key.
        guard let key = try? Key("ci/new/\(keyCount)") else { preconditionFailure("ci/new/N is a key") }
        return key
    }

    /// A request over the network: exactly one outcome, unless the asker's process ends before.
    func send(
        _ request: Request,
        from: SimulatedAgent,
        to address: PeerAddress,
        limit: Duration,
        _ done: @escaping (Outcome) -> Void
    ) {
        let end = now + limit.microseconds
        let life = from.life
        let finish = { [self] (outcome: Outcome, at: Int64) in
            plan(after: at - now) { if from.life == life { done(outcome) } }
        }
        guard let target = byHost[address.host] else { return finish(.silence, end) }
        traffic.count(request, isLink: from.site != target.site)
        guard let delay = network.delay(from.place, target.place, &dice) else { return finish(.silence, end) }
        plan(after: delay) { [self] in deliver(request, from, target, end, finish) }
        if dice.chance(network.duplication) {
            plan(after: delay + dice.within(0...50 * Simulated.millisecond)) {
                if target.isUp { target.serve(request, from) { _ in } }
            }
        }
    }

    private func deliver(
        _ request: Request,
        _ from: SimulatedAgent,
        _ target: SimulatedAgent,
        _ end: Int64,
        _ finish: @escaping (Outcome, Int64) -> Void
    ) {
        guard target.isUp else {
            // A node that is gone says nothing; one without the process refuses.
            guard !target.isGone, let back = network.delay(target.place, from.place, &dice) else {
                return finish(.silence, end)
            }
            return finish(.refusal, now + back)
        }
        var isAnswered = false
        target.serve(request, from) { [self] answer in
            isAnswered = true
            guard let back = network.delay(target.place, from.place, &dice), now + back <= end else {
                return finish(.silence, end)
            }
            traffic.count(answer, isLink: from.site != target.site)
            from.attempt {
                finish(.answer(usesCoding ? try answer.coded(from.limits) : answer), now + back)
            }
        }
        // It may die before it answers.
        guard !isAnswered else { return }
        plan(after: end - now) { if !isAnswered { finish(.silence, end) } }
    }
}
