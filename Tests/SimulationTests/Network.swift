// SPDX-License-Identifier: Apache-2.0

/// What becomes of a message between two agents: how long it takes, or that it is lost.
struct Network {
    /// Who is cut off from whom: agents of different numbers do not hear each other.
    var partition: [Int]
    /// Microseconds that an agent adds to each message that it sends or gets.
    var slowness: [Int64]
    /// Pairs of sites whose line is cut.
    var cutLinks: Set<Set<Int>> = []
    /// The part of messages that is lost; the request then ends with its time-out.
    var loss = 0.0
    /// The part of requests that arrive twice.
    var duplication = 0.0
    /// Microseconds inside a site and over a link, and by how much they vary: what overtakes is reordered.
    let siteDelay: ClosedRange<Int64> = 100...3000
    let linkDelay: ClosedRange<Int64> = 8000...40_000

    init(agents: Int) {
        partition = Array(repeating: 0, count: agents)
        slowness = Array(repeating: 0, count: agents)
    }

    func isCut(_ a: (index: Int, site: Int), _ b: (index: Int, site: Int)) -> Bool {
        partition[a.index] != partition[b.index] || (a.site != b.site && cutLinks.contains([a.site, b.site]))
    }

    /// Microseconds until a message arrives; nil: never.
    func delay(_ from: (index: Int, site: Int), _ to: (index: Int, site: Int), _ dice: inout Dice) -> Int64? {
        if isCut(from, to) || dice.chance(loss) { return nil }
        let base = dice.within(from.site == to.site ? siteDelay : linkDelay)
        return base + slowness[from.index] + slowness[to.index]
    }

    /// Everything works.
    mutating func heal() {
        for index in partition.indices {
            partition[index] = 0
            slowness[index] = 0
        }
        cutLinks = []
        loss = 0
    }
}
