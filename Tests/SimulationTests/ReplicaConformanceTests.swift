// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Logging
import Storage
import Testing

/// What the simulation relies on: the catalog in memory and the one in SQLite have the same rules.
@Suite("Simulation: the replica in memory is the catalog", .timeLimit(.minutes(5)))
struct ReplicaConformanceTests {
    @Test("Any publications in any order give the same directory, numbers and answers in both")
    func conformance() throws {
        for seed in 0..<6 as Range<UInt64> { try compare(seed: seed) }
    }

    @Test("P1, P5: a dozen agents with catalogs in SQLite and coded messages converge as those in memory do")
    func simulated() throws {
        var scenario = Scenario()
        scenario.sites = [4, 3]
        scenario.workCount = 40
        scenario.faultCount = 5
        scenario.goneCount = 0
        scenario.usesCoding = true
        for seed in 0..<2 as Range<UInt64> {
            try CatalogFolder.with { folder in
                var run = try Run(seed: seed, scenario: scenario) { _ in try folder.replica() }
                let failures = run.play().failures
                #expect(failures.isEmpty, "seed \(seed): \(failures.joined(separator: "; "))")
            }
        }
    }

    private func compare(seed: UInt64) throws {
        try CatalogFolder.with { folder in
            var dice = Dice(seed: seed)
            let disk = try folder.replica()
            let memory = MemoryReplica(agent: disk.agent)
            let others = (1...3).map { AgentID(high: 9, low: $0) }
            var numbers: [AgentID: UInt64] = [:]
            for step in 0..<200 as Range<UInt64> {
                if dice.chance(0.3) {
                    let changes = try (0..<dice.within(1...4)).map { _ in try change(by: disk.agent, step, &dice) }
                    #expect(try disk.publish(changes) == memory.publish(changes))
                } else if dice.chance(0.05) {
                    #expect(try disk.skipNumber() == memory.skipNumber())
                } else if dice.chance(0.03) {
                    try disk.reopen()
                    memory.reopen()
                    #expect(disk.recoveredNumber == memory.recoveredNumber)
                } else if let other = dice.one(of: others) {
                    let after = numbers[other] ?? 0
                    let upTo = after + UInt64(dice.within(1...4))
                    let publications = try (after + 1...upTo).map { number in
                        Publication(agent: other, number: number, change: try change(by: other, step, &dice))
                    }
                    // A gap now and then: what comes later is applied, and not counted as complete.
                    let spans = [other: PublicationSpan(after: after, upTo: upTo)]
                    numbers[other] = dice.chance(0.8) ? upTo : after
                    if dice.chance(0.9) {
                        let won = try disk.apply(publications, spans: spans)
                        #expect(won == memory.apply(publications, spans: spans))
                    }
                }
            }
            try expectEqual(disk, memory, others + [disk.agent])
        }
    }

    private func change(by agent: AgentID, _ step: UInt64, _ dice: inout Dice) throws -> Publication.Change {
        let manifest = Digest.sha256(of: [UInt8(dice.within(0...4))])
        if dice.chance(0.3) { return .holding(manifest: manifest, held: dice.chance(0.5)) }
        let time = HybridTime(milliseconds: 1000 + step + UInt64(dice.within(0...20)))
        let body: Entry.Body =
            dice.chance(0.2) ? .tombstone : dice.chance(0.5) ? .inline([1]) : .object(manifest: manifest, size: 9)
        return .entry(
            Entry(
                key: try Key("ci/\(dice.within(0...7))"),
                version: Version(time: time, agent: agent),
                body: body,
                metadata: Metadata(modified: 0)
            )
        )
    }

    private func expectEqual(_ disk: CatalogReplica, _ memory: MemoryReplica, _ agents: [AgentID]) throws {
        #expect(try disk.vector() == memory.vector())
        #expect(try disk.clock() == memory.clock())
        for number in 0...7 {
            let key = try Key("ci/\(number)")
            #expect(try disk.entry(key) == memory.entry(key))
        }
        for number in 0...4 as ClosedRange<UInt8> {
            let manifest = Digest.sha256(of: [number])
            #expect(try Set(disk.holders(of: manifest)) == Set(memory.holders(of: manifest)))
            #expect(try disk.keys(of: manifest) == memory.keys(of: manifest))
            #expect(try disk.hasGivenUp(manifest) == memory.hasGivenUp(manifest))
        }
        for count in 0...agents.count {
            let some = Set(agents.prefix(count))
            #expect(try disk.objects(heldOnlyBy: some) == memory.objects(heldOnlyBy: some))
        }
        for agent in agents {
            for (after, limit) in [(0, 1000), (3, 5), (1 << 20, 7)] as [(UInt64, Int)] {
                let there = try disk.publications(of: agent, after: after, limit: limit)
                let here = memory.publications(of: agent, after: after, limit: limit)
                #expect(there.publications == here.publications)
                #expect(there.upTo == here.upTo)
            }
        }
    }
}

/// A place for catalogs that is gone afterwards.
private struct CatalogFolder {
    let path: String

    static func with(_ body: (CatalogFolder) throws -> Void) throws {
        let folder = CatalogFolder(path: NSTemporaryDirectory() + "larder-simulation-" + UUID().uuidString)
        defer { try? FileManager.default.removeItem(atPath: folder.path) }
        try body(folder)
    }

    func replica() throws -> CatalogReplica {
        let path = path + "/" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        var logger = Logger(label: "simulation")
        logger.logLevel = .critical
        return try CatalogReplica { [logger] in try Catalog.open(path: path, logger: logger) }
    }
}
