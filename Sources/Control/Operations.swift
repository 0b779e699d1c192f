// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Objects

/// The reads that are under way or ended lately, so that a client can ask how its own went.
///
/// After the fact and not in a trailer: a `GET` with a content length has none, and most clients would not show it.
final class Operations: Sendable {
    /// Remembered operations: a client asks at once, so only those that end at the same moment matter.
    static let countMax = 1024

    private struct State {
        var next: UInt64 = 1
        var operations: [String: OperationMessage] = [:]
        /// Bytes of the object that were not here when the read began.
        var missing: [String: UInt64] = [:]
        var order: [String] = []
    }

    private let state = NIOLockedValueBox(State())
    /// Makes ids of one agent's run unlike those of the next.
    private let prefix = String(UInt32.random(in: .min ... .max), radix: 36)

    /// Begins to remember a read; the oldest is forgotten.
    ///
    /// - Parameter missing: bytes of the object that are not here now: whatever brings them, this read or what runs
    ///   ahead of it, they come from elsewhere.
    func begin(_ key: String, missing: UInt64) -> String {
        state.withLockedValue { state in
            let id = "\(prefix)-\(state.next)"
            state.next += 1
            state.operations[id] = OperationMessage(
                id: id,
                key: key,
                bytes: 0,
                localBytes: 0,
                fetchedBytes: 0,
                waitedSeconds: 0,
                done: false
            )
            state.missing[id] = missing
            state.order.append(id)
            if state.order.count > Operations.countMax {
                let oldest = state.order.removeFirst()
                state.operations[oldest] = nil
                state.missing[oldest] = nil
            }
            return id
        }
    }

    /// Notes where a read is; with `isDone`, that it will go no further.
    func note(
        _ id: String,
        bytes: UInt64,
        _ statistics: ObjectReader.Statistics,
        isDone: Bool = false,
        error: ControlError? = nil
    ) {
        state.withLockedValue { state in
            guard var operation = state.operations[id] else { return }
            operation.bytes = bytes
            operation.fetchedBytes = min(bytes, max(statistics.missed, state.missing[id] ?? 0))
            operation.localBytes = bytes - operation.fetchedBytes
            operation.waitedSeconds = statistics.waited / .seconds(1)
            operation.done = isDone
            operation.error = error.map { ErrorMessage.Body(code: $0.code.rawValue, message: $0.message) }
            state.operations[id] = operation
        }
    }

    func operation(_ id: String) -> OperationMessage? { state.withLockedValue { $0.operations[id] } }
}
