// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Testing

/// Agents under a seeded clock and network: their policies are the real ones, their shells, disks and wires are not.
///
/// Every run is made of its seed alone. `LARDER_SIMULATION_SEEDS=5000` runs more than sixty, `LARDER_SIMULATION_SEED=17`
/// replays one and prints what went wrong in it and when.
@Suite("Simulation: directory, membership and replication under faults", .timeLimit(.minutes(30)))
struct SimulationTests {
    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    /// Runs seeds on as many cores as there are: on threads of their own, that yield to every other, because a run never
    /// suspends and would keep the tests beside it from the task pool.
    private static func reports(
        _ seeds: Range<UInt64>,
        _ scenario: @Sendable @escaping (UInt64) -> Scenario
    ) async -> [Report] {
        let width = UInt64(max(2, ProcessInfo.processInfo.activeProcessorCount))
        return await withTaskGroup(of: [Report].self) { group in
            for first in 0..<width {
                let share = stride(from: seeds.lowerBound + first, to: seeds.upperBound, by: Int(width))
                group.addTask {
                    await withCheckedContinuation { continuation in
                        Thread.detachNewThread {
                            _ = setpriority(Int32(PRIO_PROCESS.rawValue), 0, 19)
                            continuation.resume(
                                returning: share.map { Run.report(seed: $0, scenario: scenario($0)) })
                        }
                    }
                }
            }
            var out: [Report] = []
            for await reports in group { out += reports }
            return out.sorted { $0.seed < $1.seed }
        }
    }

    private static func summarize(_ what: String, _ reports: [Report]) {
        let seconds = { (value: Int64) in Double(value) / Double(Simulated.second) }
        let mean = { (values: [Double]) in values.reduce(0, +) / Double(max(1, values.count)) }
        let convergence = reports.map(\.convergence)
        print(
            """
            \(what): \(reports.count) seeds, \(reports.reduce(0) { $0 + $1.publications }) publications; \
            equal \(mean(convergence.map(seconds))) s after the faults in the mean, \(seconds(convergence.max() ?? 0)) \
            at most; a publication takes at most \(seconds(reports.map(\.publication).max() ?? 0)) s in calm; pushes per \
            publication \(mean(reports.map(\.pushes))), in a burst \(mean(reports.map(\.burstPushes))); heartbeats of an \
            agent \(mean(reports.map(\.heartbeatBytes))) B/s, over all links \(mean(reports.map(\.linkBytes))) B/s; \
            refused clocks \(reports.reduce(0) { $0 + $1.refusals })
            """
        )
    }

    private static func expect(_ reports: [Report]) {
        for report in reports where !report.failures.isEmpty {
            Issue.record(
                """
                seed \(report.seed) (replay: LARDER_SIMULATION_SEED=\(report.seed)): \
                \(report.failures.joined(separator: "; "))
                """
            )
        }
    }

    @Test("P1, P5, P11: fifty agents of three sites converge, lose nothing and find what is published, whatever fails")
    func fifty() async {
        if let seed = SimulationTests.number("LARDER_SIMULATION_SEED") {
            let report = Run.report(seed: seed, scenario: .ordinary(seed)) { print($0) }
            SimulationTests.summarize("seed \(seed)", [report])
            return SimulationTests.expect([report])
        }
        let count = SimulationTests.number("LARDER_SIMULATION_SEEDS") ?? 60
        let reports = await SimulationTests.reports(0..<count) { .ordinary($0) }
        SimulationTests.summarize("fifty agents", reports)
        SimulationTests.expect(reports)
        let refusals = reports.filter { Scenario.ordinary($0.seed).drift > 0 }.map(\.refusals)
        #expect(refusals.allSatisfy { $0 > 0 }, "a clock 75 s ahead is refused")
    }
}
