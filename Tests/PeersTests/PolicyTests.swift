// SPDX-License-Identifier: Apache-2.0

import Content
import Peers
import Testing

/// `#expect` of what changes a value, which the macro cannot take.
private func check(_ condition: Bool, _ location: SourceLocation = #_sourceLocation) {
    #expect(condition, sourceLocation: location)
}

@Suite("Governor: order and rate, in virtual time")
struct GovernorTests {
    /// Lets time pass until nothing waits; returns what left, and when the last did.
    private func drain(_ governor: inout Governor, from start: Duration = .zero) -> ([UInt64], Duration) {
        var now = start
        var out: [UInt64] = []
        while true {
            let (granted, next) = governor.grant(now: now)
            out += granted.map(\.request)
            guard let next else { return (out, now) }
            now = next
        }
    }

    @Test("Readers go first, in turns, then deadlines, hints, replication; in a class who asked first")
    func order() {
        var governor = Governor(bytesPerSecond: 1e6, headroom: 0)
        // The line is busy, so that all of them wait.
        governor.charge(bytes: 1_000_000, now: .zero)
        let asked: [(UInt64, Priority)] = [
            (1, .replication), (2, .hinted), (3, .reader), (4, .deadline), (5, .reader), (6, .hinted),
        ]
        for _ in 0..<2 {
            for (request, priority) in asked {
                _ = governor.enqueue(request: request, priority: priority, bytes: Governor.quantum)
            }
        }
        check(drain(&governor).0 == [3, 5, 3, 5, 4, 4, 2, 2, 6, 6, 1, 1])
    }

    @Test("A reader that comes while another reads much gets half of the line at once, and is owed nothing for before")
    func fairness() {
        var governor = Governor(bytesPerSecond: 1e6, headroom: 0)
        governor.charge(bytes: 1_000_000, now: .zero)
        // As senders do: the next quantum is asked for when the last one left.
        var left: [UInt64: Int] = [1: 40]
        var order: [UInt64] = []
        _ = governor.enqueue(request: 1, priority: .reader, bytes: Governor.quantum)
        var now: Duration = .zero
        while true {
            let (granted, next) = governor.grant(now: now)
            for ticket in granted {
                order.append(ticket.request)
                left[ticket.request, default: 0] -= 1
                if order.count == 20 {
                    left[2] = 5
                    _ = governor.enqueue(request: 2, priority: .reader, bytes: Governor.quantum)
                }
                guard left[ticket.request, default: 0] > 0 else { continue }
                _ = governor.enqueue(request: ticket.request, priority: .reader, bytes: Governor.quantum)
            }
            if let next {
                now = next
            } else if granted.isEmpty {
                break
            }
        }
        check(order.count == 45)
        check(order[20..<30].count { $0 == 2 } == 5)
    }

    @Test("A promoted request overtakes while it waits; one that gave up does not leave")
    func promotion() {
        var governor = Governor(bytesPerSecond: 1e6, headroom: 0)
        governor.charge(bytes: 1_000_000, now: .zero)
        _ = governor.enqueue(request: 1, priority: .hinted, bytes: 10)
        _ = governor.enqueue(request: 2, priority: .replication, bytes: 10)
        let gone = governor.enqueue(request: 3, priority: .reader, bytes: 10)
        governor.promote(request: 2, to: .reader)
        governor.cancel(gone)
        check(drain(&governor).0 == [2, 1])
        governor.begin(request: 4, priority: .replication)
        governor.promote(request: 4, to: .reader)
        governor.charge(bytes: 1_000_000, now: .seconds(10))
        _ = governor.enqueue(request: 5, priority: .deadline, bytes: 10)
        _ = governor.enqueue(request: 4, priority: .replication, bytes: 10)
        check(drain(&governor, from: .seconds(10)).0 == [4, 5])
    }

    @Test("Useful bytes are at least 0.9 of the rate, and the interface stays within it less headroom")
    func rate() {
        let rate = 50e6 / 8
        var governor = Governor(bytesPerSecond: rate, headroom: 0.03)
        let bytes = 64 << 20
        for _ in 0..<(bytes / Governor.quantum) {
            _ = governor.enqueue(request: 1, priority: .reader, bytes: Governor.quantum)
        }
        let (_, end) = drain(&governor)
        let seconds = Double(end.components.seconds) + Double(end.components.attoseconds) / 1e18
        #expect(Double(bytes) / seconds >= 0.9 * rate)
        let atInterface = Double(bytes) * Governor.frameByteCount / Governor.segmentByteCount
        // The slack of a few milliseconds at the start is not of the rate.
        #expect(atInterface / (seconds + 0.03) <= 0.97 * rate)
    }

    @Test("Sleeping late loses no rate")
    func lateness() {
        let rate = 50e6 / 8
        var governor = Governor(bytesPerSecond: rate, headroom: 0.03)
        var random = Random("lateness")
        for _ in 0..<512 { _ = governor.enqueue(request: 1, priority: .reader, bytes: Governor.quantum) }
        var now: Duration = .zero
        while let next = governor.grant(now: now).next {
            now = next + .microseconds(Int64.random(in: 0...5000, using: &random))
        }
        let seconds = Double(now.components.seconds) + Double(now.components.attoseconds) / 1e18
        #expect(Double(512 * Governor.quantum) / seconds >= 0.9 * rate)
    }

    @Test("Without an uplink nothing waits")
    func unpaced() {
        var governor = Governor(bytesPerSecond: nil, headroom: 0)
        for request in 0..<100 as Range<UInt64> {
            _ = governor.enqueue(request: request, priority: .replication, bytes: 1 << 20)
        }
        check(drain(&governor).1 == .zero)
    }
}

@Suite("Membership: heartbeats in, states out")
struct MembershipTests {
    private let own = AgentID(high: 0, low: 1)
    private let here = PeerAddress(host: "10.0.0.2", port: 1)
    private let there = PeerAddress(host: "10.9.0.1", port: 1)

    private func table() -> Membership {
        var table = Membership(own: own, site: "a", links: ["b"], limits: .init())
        table.configure([here: nil, there: "b"])
        return table
    }

    private func identity(_ number: UInt64, _ site: String = "a", port: UInt16 = 1) -> Identity {
        Identity(agent: AgentID(high: 0, low: number), name: "n\(number)", site: site, port: port, links: [])
    }

    private func state(_ table: Membership, _ number: UInt64) -> Membership.State? {
        table.peer(AgentID(high: 0, low: number))?.state
    }

    @Test("Every address is called once per heartbeat; an answer makes its agent alive")
    func calls() {
        var table = table()
        check(Set(table.calls(now: .zero)) == [here, there])
        check(table.calls(now: .zero).isEmpty)
        #expect(!table.isFirstRoundOver)
        check(table.answered(identity(2), at: here, now: .zero))
        table.failed(at: there, refused: true, now: .zero)
        #expect(table.isFirstRoundOver)
        #expect(state(table, 2) == .alive)
        check(table.calls(now: .milliseconds(999)).isEmpty)
        check(Set(table.calls(now: .seconds(1))) == [here, there])
    }

    @Test("Our own address and those of strangers are no members")
    func selfIsSkipped() {
        var table = table()
        _ = table.calls(now: .zero)
        check(!table.answered(identity(1), at: here, now: .zero))
        check(!table.answered(identity(3, "c"), at: there, now: .zero))
        #expect(table.all.isEmpty)
        check(table.calls(now: .seconds(1)).isEmpty)
        check(!table.called(by: identity(4, "c"), from: "1.2.3.4", now: .zero))
        check(!table.called(by: identity(1), from: "1.2.3.4", now: .zero))
    }

    @Test("Silence makes suspect, then dead; refusal makes dead at once; any word makes alive")
    func death() {
        var table = table()
        _ = table.calls(now: .zero)
        _ = table.answered(identity(2), at: here, now: .zero)
        check(!table.tick(now: .seconds(2)))
        check(table.tick(now: .milliseconds(2100)))
        #expect(state(table, 2) == .suspect)
        check(table.tick(now: .milliseconds(3100)))
        #expect(state(table, 2) == .dead)
        check(table.called(by: identity(2), from: "10.0.0.2", now: .seconds(4)))
        #expect(state(table, 2) == .alive)
        _ = table.calls(now: .seconds(4))
        table.failed(at: here, refused: true, now: .seconds(4))
        #expect(state(table, 2) == .dead)
        check(table.calls(now: .seconds(5)).contains(here))
    }

    @Test("Who calls is learnt with the port that it names, and forgotten where a known address answers")
    func learning() {
        var table = table()
        check(table.called(by: identity(5, port: 77), from: "10.0.0.5", now: .zero))
        #expect(table.peer(AgentID(high: 0, low: 5))?.address == PeerAddress(host: "10.0.0.5", port: 77))
        check(table.called(by: identity(2, port: 9), from: "10.0.0.2", now: .zero))
        let learnt = PeerAddress(host: "10.0.0.2", port: 9)
        check(table.calls(now: .zero).contains(learnt))
        check(table.answered(identity(2, port: 9), at: here, now: .zero))
        #expect(table.peer(AgentID(high: 0, low: 2))?.address == here)
        check(!table.calls(now: .seconds(9)).contains(learnt))
    }
}

@Suite("Vectors: who is told what, and who is asked")
struct VectorTableTests {
    private let own = AgentID(high: 0, low: 1)
    private let peer = AgentID(high: 0, low: 2)
    private let link = AgentID(high: 0, low: 3)
    private let far = AgentID(high: 0, low: 4)
    private let memory = Duration.seconds(1)

    @Test("An agent tells only what is its own; a gateway hands on between its site and its links, and not back")
    func telling() {
        var node = VectorTable(own: own, isGateway: false, mine: [own: 5, far: 7], memory: memory)
        _ = node.heard([:], from: peer, isLink: false, now: .zero)
        // What was before it asks for.
        #expect(node.owed(to: peer).isEmpty)
        node.advance([own: 6, far: 8])
        #expect(node.owed(to: peer) == [own: 5])
        var gateway = VectorTable(own: own, isGateway: true, mine: [own: 5, peer: 3, far: 7], memory: memory)
        gateway.siteAgents = [peer]
        _ = gateway.heard([:], from: peer, isLink: false, now: .zero)
        _ = gateway.heard([far: 8], from: link, isLink: true, now: .zero)
        gateway.advance([own: 6, peer: 4, far: 8])
        #expect(gateway.owed(to: peer) == [own: 5, far: 7])
        #expect(gateway.owed(to: link) == [own: 5, peer: 3])
        gateway.acknowledged([own: 6, peer: 4], by: link)
        #expect(gateway.owed(to: link).isEmpty)
    }

    @Test("P5: that a gateway has a publication is no acknowledgement before it said so a while ago")
    func hearsay() {
        var node = VectorTable(own: own, isGateway: false, mine: [own: 5], memory: memory)
        _ = node.heard([own: 5], from: peer, isLink: false, now: .zero)
        node.advance([own: 6])
        // Both ends call, so two words may follow each other at once.
        _ = node.heard([own: 6], from: peer, isLink: false, now: .milliseconds(1000))
        _ = node.heard([own: 6], from: peer, isLink: false, now: .milliseconds(1001))
        #expect(node.owing([own: 6]) == [peer])
        _ = node.heard([own: 6], from: peer, isLink: false, now: .milliseconds(2000))
        #expect(node.owing([own: 6]).isEmpty)
    }

    @Test("What a peer had a while ago and we lack is asked for; what is on its way is not")
    func asking() {
        var table = VectorTable(own: own, isGateway: false, mine: [own: 5], memory: memory)
        check(table.heard([far: 3, own: 9], from: peer, isLink: false, now: .zero))
        #expect(table.isBehind)
        #expect(table.gaps(at: peer) == [far: 0])
        table.advance([far: 3])
        #expect(!table.isBehind)
        check(!table.heard([far: 4], from: peer, isLink: false, now: .milliseconds(900)))
        #expect(table.isBehind)
        check(!table.heard([far: 4], from: peer, isLink: false, now: .milliseconds(1000)))
        check(table.heard([far: 4], from: peer, isLink: false, now: .milliseconds(1900)))
        table.exhausted(peer)
        #expect(!table.isBehind)
        check(table.heard([far: 4], from: peer, isLink: false, now: .milliseconds(2000)))
        table.lost(peer)
        #expect(!table.isBehind)
    }
}

@Suite("Unheld: keys that nobody holds go")
struct UnheldTests {
    private let own = AgentID(high: 0, low: 1)
    private let other = AgentID(high: 0, low: 2)

    @Test("P1: who once held an object removes its keys when nobody holds it; what was published meanwhile stays")
    func removals() throws {
        let manifest = [UInt8](repeating: 7, count: 32).withUnsafeBytes { Digest($0) }
        let entry = Entry(
            key: try Key("ci/x"),
            version: Version(time: HybridTime(milliseconds: 5), agent: other),
            body: .object(manifest: manifest, size: 1),
            metadata: Metadata(modified: 0)
        )
        let ended = Publication(agent: other, number: 1, change: .holding(manifest: manifest, held: false))
        #expect(Unheld.candidates(in: [ended]) == [manifest])
        #expect(Unheld.removals(of: [entry], by: own, holders: [other], hasGivenUp: true).isEmpty)
        #expect(Unheld.removals(of: [entry], by: own, holders: [], hasGivenUp: false).isEmpty)
        let removal = Entry(removing: entry, by: own)
        #expect(Unheld.removals(of: [entry], by: own, holders: [], hasGivenUp: true) == [.entry(removal)])
        #expect(removal.version > entry.version)
        #expect(removal.version < Version(time: HybridTime(milliseconds: 6), agent: other))
    }
}
