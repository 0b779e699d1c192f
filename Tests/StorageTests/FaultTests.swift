// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import NIOConcurrencyHelpers
import Storage
import Testing

/// Fails the first operation on the disk, then the second, and so on until a run gets through: after each, what was
/// inserted is right, at once and after a crash.
@Suite(.timeLimit(.minutes(5))) struct FaultTests {
    private final class Countdown: Sendable {
        private let left: NIOLockedValueBox<Int>
        let number: Int32
        /// Failing goes on until it is told to stop, as a full disk does.
        let persists: Bool

        init(_ count: Int, _ number: Int32, persists: Bool) {
            left = NIOLockedValueBox(count)
            self.number = number
            self.persists = persists
        }

        var faults: DiskFaults {
            DiskFaults { [self] operation in
                // A full disk still reads and removes.
                if number == ENOSPC, [.read, .unlink, .punch].contains(operation) { return 0 }
                return left.withLockedValue { left in
                    left -= 1
                    return left == 0 || (persists && left < 0) ? number : 0
                }
            }
        }

        func stop() { left.withLockedValue { $0 = .max } }
        var fired: Bool { left.withLockedValue { $0 <= 0 } }
    }

    private struct Workload {
        var inserted: [Sample] = []
        var kept: [Sample] = []

        mutating func run(
            _ directory: TemporaryDirectory, _ samples: [Sample], _ faults: DiskFaults, _ number: Int32
        ) throws -> Store? {
            let store = try Store.open(
                directory.configuration(segmentByteCount: 150_000, faults: faults), logger: quiet)
            kept = samples.indices.filter { $0 % 3 == 0 }.map { samples[$0] }
            do {
                for (at, sample) in samples.enumerated() {
                    if try store.chunks.insert(sample) { inserted.append(sample) }
                    if at == 20 { try store.chunks.sync() }
                }
                // From here on only what is kept is promised.
                inserted = kept
                _ = try store.chunks.sweep { keep in for sample in kept { keep(sample.digest) } }
                try store.chunks.sync()
                let file = try store.makeStagingFile(claim: store.space.open(label: "x") {})
                try [UInt8](repeating: 1, count: 10).withUnsafeBytes { try file.write($0, at: 0) }
                try file.sync()
            } catch let error as StorageError {
                #expect(error.errno == number && number != EIO ? error.code == .noSpace : error.code == .io, "\(error)")
            }
            return store
        }
    }

    @Test(arguments: [(ENOSPC, true), (ENOSPC, false), (EIO, false), (EDQUOT, false)])
    func anyOperationMayFail(number: Int32, persists: Bool) throws {
        var generator = Seeded("anyOperationMayFail")
        let samples = (0..<40).map { _ in Sample(&generator, count: .random(in: 1...30_000, using: &generator)) }
        var step = 1
        var gotThrough = false
        while !gotThrough {
            let countdown = Countdown(step, number, persists: persists)
            let directory = try TemporaryDirectory()
            var workload = Workload()
            let store = try? workload.run(directory, samples, countdown.faults, number)
            gotThrough = !countdown.fired
            countdown.stop()
            if let store {
                for sample in workload.inserted { #expect(try store.chunks.holds(sample), "step \(step)") }
                #expect(store.chunks.statistics.corrupt == 0)
                // The trouble is over: everything goes on.
                for sample in samples { try store.chunks.insert(sample) }
                for sample in samples { #expect(try store.chunks.holds(sample), "step \(step)") }
                let crashed = try TemporaryDirectory(copyOf: directory)
                let other = try crashed.open()
                for sample in samples { #expect(try other.chunks.holds(sample), "step \(step), after a crash") }
                #expect(other.chunks.statistics.corrupt == 0)
                try store.close()
            }
            let again = try directory.open()
            if store != nil { for sample in samples { #expect(try again.chunks.holds(sample), "step \(step)") } }
            // Coarser where there is more of the same.
            step += step < 150 ? 1 : 13
        }
        #expect(step > 50)
    }
}
