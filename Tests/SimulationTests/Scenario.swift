// SPDX-License-Identifier: Apache-2.0

import Content
import Peers

/// The shape of a run: sites, gateways, and what may go wrong.
struct Scenario {
    /// Agents of each site. The first is the hub: it has a link to every other.
    var sites = [20, 20, 10]
    /// Agents of a site that hold links; the first two end at different agents of the hub.
    var gateways = 2
    /// Seconds in which things go wrong.
    var faultSeconds: Int64 = 8
    /// Things that are done in that time: puts, overwrites, removals, fetches, evictions.
    var workCount = 80
    /// Faults in that time.
    var faultCount = 12
    /// Whether a process may end with the power, which takes its last commits.
    var losesPower = false
    /// Milliseconds by which one clock is ahead until the faults stop; over 60,000 it is refused.
    var drift: Int64 = 0
    /// Nodes that go for good.
    var goneCount = 1
    var usesCoding = false
    /// How long an agent may be away before it is gone.
    var absence: Duration = .seconds(3600)

    var agentCount: Int { sites.reduce(0, +) }

    /// What a seed makes of it: most runs are ordinary, some lose power, some have a clock that is far off.
    static func ordinary(_ seed: UInt64) -> Scenario {
        var scenario = Scenario()
        scenario.losesPower = seed % 5 == 1
        scenario.drift = seed % 5 == 2 ? 75_000 : 0
        scenario.goneCount = Int(seed % 3)
        scenario.usesCoding = seed % 8 == 0
        return scenario
    }

    /// - Parameter replica: an agent's disk, by its number.
    func world(seed: UInt64, replica: (AgentID) throws -> any Replica) rethrows -> World {
        let world = World(seed: seed, agents: agentCount, usesCoding: usesCoding)
        var first = 0
        let starts = sites.map { count in
            defer { first += count }
            return first
        }
        for (site, count) in sites.enumerated() {
            for place in 0..<count {
                let index = starts[site] + place
                var configuration = PeersConfiguration(
                    name: "n\(index)",
                    site: "s\(site)",
                    listen: Scenario.address(site, place)
                )
                // Of two that know of each other one may have learnt it from the other's call only.
                configuration.peers = (0..<count).filter { $0 >= place || !world.dice.chance(0.03) }
                    .map { Scenario.address(site, $0) }
                configuration.links = links(site, place)
                configuration.limits.absence = absence
                let id = AgentID(high: 1, low: UInt64(index + 1))
                let agent = SimulatedAgent(
                    world, index: index, site: site, configuration: configuration, replica: try replica(id)
                )
                agent.drift = drift > 0 ? world.dice.within(-200...200) : world.dice.within(-10_000...10_000)
                world.add(agent)
            }
        }
        return world
    }

    private static func address(_ site: Int, _ place: Int) -> PeerAddress {
        PeerAddress(host: "10.\(site).\(place >> 8).\(place & 255)", port: 7420)
    }

    /// Gateway `g` of a site is linked with gateway `g` of the hub; the hub's side dials, and for even ones the other too.
    private func links(_ site: Int, _ place: Int) -> [PeersConfiguration.Link] {
        guard place < gateways else { return [] }
        if site == 0 {
            return (1..<sites.count).map { .init(site: "s\($0)", address: Scenario.address($0, place)) }
        }
        return [.init(site: "s0", address: place % 2 == 0 ? Scenario.address(0, place) : nil)]
    }
}
