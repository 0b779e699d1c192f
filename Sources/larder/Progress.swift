// SPDX-License-Identifier: Apache-2.0

import Agent
// Dispatch sources may be used from any thread; the module does not say so yet.
@preconcurrency import Dispatch
import Glibc
import Synchronization

/// Counts bytes, and draws them on stderr where that is a terminal: amount, share, rate and time to go.
final class Progress: Sendable {
    /// Five times a second: as fast as anybody reads.
    private static let interval = DispatchTimeInterval.milliseconds(200)

    private let count = Atomic<UInt64>(0)
    private let total: UInt64?
    private let label: String
    private let begin = ContinuousClock.now
    private let queue = DispatchQueue(label: "progress")
    private let timer: (any DispatchSourceTimer)?

    init(_ label: String, total: UInt64?) {
        self.label = label
        self.total = total
        guard isatty(STDERR_FILENO) == 1 else {
            timer = nil
            return
        }
        let timer = DispatchSource.makeTimerSource(queue: queue)
        self.timer = timer
        timer.schedule(deadline: .now() + Progress.interval, repeating: Progress.interval)
        timer.setEventHandler { [weak self] in self?.draw() }
        timer.resume()
    }

    func add(_ bytes: Int) { count.wrappingAdd(UInt64(bytes), ordering: .relaxed) }

    var bytes: UInt64 { count.load(ordering: .relaxed) }

    var elapsed: Duration { ContinuousClock.now - begin }

    /// `1.18 GB in 3.2 s (369 MB/s)`.
    var summary: String {
        let elapsed = elapsed
        return "\(ByteSize(bytes: bytes).rounded) in \(elapsed.rounded) (\(rate(elapsed)))"
    }

    /// Ends the drawing and wipes the line, so that what follows begins one.
    func end() {
        guard let timer else { return }
        timer.cancel()
        queue.sync { Output.write("\r\u{1b}[K", to: STDERR_FILENO) }
    }

    private func rate(_ elapsed: Duration) -> String {
        let seconds = max(elapsed / .seconds(1), 0.001)
        return "\(ByteSize(bytes: UInt64(Double(bytes) / seconds)).rounded)/s"
    }

    private func draw() {
        let (bytes, elapsed) = (bytes, elapsed)
        var text = "\r\(label)  \(ByteSize(bytes: bytes).rounded)"
        if let total { text += " of \(ByteSize(bytes: total).rounded)  \(total == 0 ? 100 : bytes * 100 / total)%" }
        text += "  \(rate(elapsed))"
        if let total, bytes > 0, bytes < total {
            let remaining = elapsed * (Double(total - bytes) / Double(bytes))
            text += "  ETA \(remaining.rounded)"
        }
        Output.write(text + "\u{1b}[K", to: STDERR_FILENO)
    }
}
