// SPDX-License-Identifier: Apache-2.0

import Content
import Objects
import Peers
import Testing

@Suite("Policies: events in, actions out")
struct PolicyTests {
    private func digest(_ n: UInt8) -> Digest {
        [UInt8](repeating: n, count: 32).withUnsafeBytes { Digest($0) }
    }

    @Test("P7: a chunk that is under way is not asked for again, and each waiter is woken by its own last chunk")
    func flights() {
        var table = FlightTable()
        let (a, b, c) = (digest(1), digest(2), digest(3))
        let first = table.join([a, b], waiter: 1)
        #expect(first.new == [a, b])
        let second = table.join([b, c], waiter: 2)
        #expect(second.new == [c] && second.others == [first.flight])
        let woken = [b, c, a].map { table.arrived($0) }
        #expect(woken == [[], [2], [1]])
        let abandoned = table.ended(first.flight, of: [a, b]) + table.ended(second.flight, of: [c])
        #expect(abandoned.isEmpty)
        #expect(table.isEmpty)
    }

    @Test("A flight that failed wakes those who still wait for it, once, and its chunks can be asked for again")
    func failedFlight() {
        var table = FlightTable()
        let (a, b) = (digest(1), digest(2))
        let flight = table.join([a, b], waiter: 1).flight
        _ = table.join([b], waiter: 2)
        table.left(2)
        let woken = table.arrived(a)
        let abandoned = table.ended(flight, of: [a, b])
        let again = table.join([b], waiter: 3)
        #expect(woken.isEmpty && abandoned == [1] && again.new == [b])
    }

    @Test("Nobody waits for a flight that goes further than its own: levels only fall")
    func reaches() {
        let reaches = FlightTable.Reach.allCases
        for theirs in reaches {
            for ours in reaches {
                var table = FlightTable()
                let a = digest(1)
                let first = table.join([a], waiter: 1, reach: theirs)
                let second = table.join([a], waiter: 2, reach: ours)
                #expect(second.others == (theirs <= ours ? [first.flight] : []))
                #expect(second.new == (theirs <= ours ? [] : [a]))
                #expect(Set(table.arrived(a)) == [1, 2])
                #expect(table.isEmpty)
            }
        }
    }

    @Test("A flight that failed does not disturb those who wait for one that goes elsewhere")
    func failedBeside() {
        var table = FlightTable()
        let a = digest(1)
        let far = table.join([a], waiter: 1, reach: .links).flight
        let near = table.join([a], waiter: 2, reach: .site).flight
        #expect(table.ended(far, of: [a]) == [1])
        #expect(table.ended(near, of: [a]) == [2])
        #expect(table.isEmpty)
    }

    @Test("P7: a holder that was slow is asked after the others that hold the same, and still before a gateway")
    func pace() {
        func source(_ number: UInt64, _ kind: Source.Kind) -> Source {
            let address = PeerAddress(host: "10.0.0.\(number)", port: 1)
            let agent = AgentID(high: 0, low: number)
            return Source(agent: agent, name: "n", site: "s", address: address, kind: kind, level: .store)
        }
        var pace = SourcePace()
        #expect(pace.patience() == SourcePace.patienceAtFirst)
        for _ in 0..<99 { pace.came(after: .milliseconds(1)) }
        #expect(pace.patience() == SourcePace.patienceMin)
        for _ in 0..<99 { pace.came(after: .milliseconds(100)) }
        #expect(pace.patience() == .milliseconds(400))
        let sources = [source(1, .holder), source(2, .holder), source(3, .gateway)]
        #expect(pace.ordered(sources, now: .zero).map(\.agent.low) == [1, 2, 3])
        pace.wasSlow(AgentID(high: 0, low: 1), after: .milliseconds(250), now: .seconds(10))
        #expect(pace.ordered(sources, now: .seconds(11)).map(\.agent.low) == [2, 1, 3])
        #expect(pace.ordered(sources, now: .seconds(13)).map(\.agent.low) == [1, 2, 3])
        // Slow again, it rests for longer.
        pace.wasSlow(AgentID(high: 0, low: 1), after: .milliseconds(250), now: .seconds(13))
        #expect(pace.ordered(sources, now: .seconds(16)).map(\.agent.low) == [2, 1, 3])
    }

    @Test("A sequential reader's window doubles to its limit and never asks twice; a random reader asks for nothing")
    func readAhead() {
        var ahead = ReadAhead(windowMax: 8)
        var asked: [Int] = []
        for block in 0..<20 {
            let begin = UInt64(block) << 22
            asked += Array(ahead.read(blocks: block..<block + 1, begin: begin, end: begin + 4 << 20, of: 20))
        }
        #expect(asked == Array(1..<20))
        var random = ReadAhead(windowMax: 8)
        _ = random.read(blocks: 0..<1, begin: 0, end: 1, of: 1000)
        for block in [500, 20, 900, 300] {
            let begin = UInt64(block) << 22
            let asked = random.read(blocks: block..<block + 1, begin: begin, end: begin + 1, of: 1000)
            #expect(asked.isEmpty)
        }
    }

    @Test("Hints: the urgent first, then the earlier deadline; one that waits for its key starts when it is published")
    func hints() throws {
        var book = HintBook(countMax: 4, ageMax: 100, runningMax: 1)
        let keys = try (0..<6).map { try Key("ci/\($0)") }
        func hint(_ n: Int, urgent: Bool = false, deadline: Double? = nil, at: Double = 0) -> HintBook.Hint {
            HintBook.Hint(key: keys[n], urgent: urgent, deadline: deadline, noted: at)
        }
        let noted = [
            book.note(hint(0), exists: true), book.note(hint(1, urgent: true, deadline: 9), exists: true),
            book.note(hint(2, urgent: true, deadline: 5), exists: true), book.note(hint(3), exists: false),
            book.note(hint(4), exists: true),
        ]
        #expect(noted == [true, true, true, true, false], "the fifth finds the book full")
        #expect(book.isAnnounced(keys[3], now: 0))
        var order: [Key] = []
        while let next = book.start().first {
            order.append(next.key)
            book.finished(next.key)
        }
        #expect(order == [keys[2], keys[1], keys[0]])
        book.published(keys[3])
        let started = book.start().map(\.key)
        #expect(!book.isAnnounced(keys[3], now: 0) && started == [keys[3]])
        let later = [book.note(hint(5), exists: false), book.note(hint(4, at: 200), exists: false)]
        #expect(later == [true, true])
        #expect(!book.isAnnounced(keys[5], now: 200), "a hint is forgotten after its age")
    }

    @Test("Hints: one whose sources fail leaves its place to others, is tried again, and is forgotten after its age")
    func failedHints() throws {
        var book = HintBook(countMax: 3, ageMax: 100, runningMax: 1)
        let keys = try (0..<4).map { try Key("ci/\($0)") }
        for key in keys[..<3] { _ = book.note(.init(key: key, urgent: false, deadline: nil, noted: 0), exists: true) }
        let first = try #require(book.start().first)
        let rests = book.rest(first, now: 1)
        let second = book.start()
        #expect(rests && second.count == 1 && second[0].key != first.key && book.isWorking(first.key))
        book.finished(second[0].key)
        book.resume(first.key)
        let third = book.start()
        #expect(third.count == 1)
        book.finished(third[0].key)
        let fourth = book.start()
        #expect(Set([second[0].key, third[0].key] + fourth.map(\.key)) == Set(keys[..<3]))
        let isForgotten = !book.rest(fourth[0], now: 101)
        #expect(isForgotten && !book.isWorking(fourth[0].key))
    }
}
