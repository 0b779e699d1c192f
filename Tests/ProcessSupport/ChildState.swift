// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What is known of a child, and who waits to know more.
///
/// Safety: every access holds the lock.
final class ChildState: @unchecked Sendable {
    private struct Waiter {
        /// Nil: for the end.
        let text: String?
        let continuation: CheckedContinuation<Void, any Error>
    }

    private let lock = NSLock()
    private var output: [UInt8] = []
    private var result: Outcome?
    private var isReaped = false
    private var input: Int32
    private var waiters: [UUID: Waiter] = [:]
    private var cancelled: Set<UUID> = []

    init(input: Int32) { self.input = input }

    var outcome: Outcome? { lock.withLock { result } }

    func hasWritten(_ text: String) -> Bool { lock.withLock { contains(text) } }

    private func contains(_ text: String) -> Bool { String(decoding: output, as: UTF8.self).contains(text) }

    func append(_ bytes: UnsafeRawBufferPointer) {
        let ready = lock.withLock {
            if output.count + bytes.count <= Child.outputLimit { output.append(contentsOf: bytes) }
            let ready = waiters.filter { $0.value.text.map(contains) ?? false }
            for id in ready.keys { waiters[id] = nil }
            return ready
        }
        for waiter in ready.values { waiter.continuation.resume() }
    }

    func whileNotReaped(_ body: () -> Void) { lock.withLock { if !isReaped { body() } } }

    /// Takes the child's number away; nothing is sent to it after this.
    func reap(_ pid: Int32) {
        let status = lock.withLock { () -> Int32 in
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            isReaped = true
            return status
        }
        let signal = status & 0x7f
        let ready = lock.withLock {
            result = Outcome(
                output: String(decoding: output, as: UTF8.self),
                code: signal == 0 ? (status >> 8) & 0xff : 128 + signal,
                signal: signal)
            defer { waiters = [:] }
            return waiters
        }
        closeInput()
        for waiter in ready.values { waiter.continuation.resume() }
    }

    func wait(for text: String?, onCancel: @escaping @Sendable () -> Void) async throws {
        let id = UUID()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let now: Result<Void, any Error>? = lock.withLock {
                    if cancelled.remove(id) != nil { return .failure(CancellationError()) }
                    if result != nil || text.map(contains) ?? false { return .success(()) }
                    waiters[id] = Waiter(text: text, continuation: continuation)
                    return nil
                }
                if let now { continuation.resume(with: now) }
            }
        } onCancel: {
            onCancel()
            let waiter = lock.withLock {
                if waiters[id] == nil, result == nil { cancelled.insert(id) }
                return waiters.removeValue(forKey: id)
            }
            waiter?.continuation.resume(throwing: CancellationError())
        }
    }

    func closeInput() {
        lock.withLock {
            if input >= 0 { close(input) }
            input = -1
        }
    }
}
