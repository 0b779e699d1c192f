// SPDX-License-Identifier: Apache-2.0

import FUSE
import FUSESupport
import Foundation
import NIOConcurrencyHelpers
import ProcessSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct PendingTests {
    @Test func aSignalCancelsTheTask() async throws {
        let files = SlowFileSystem()
        ignoreUserSignal()
        try await mounted(files) { _, path in
            let threads = AsyncStream<pthread_t>.makeStream()
            async let result = onThread { () -> Reading in
                unblockUserSignal()
                threads.continuation.yield(pthread_self())
                return readAll(path + "/slow")
            }
            var iterator = threads.stream.makeAsyncIterator()
            let thread = try #require(await iterator.next())
            await files.begun.reach(1)
            pthread_kill(thread, SIGUSR1)
            await files.cancelled.reach(1)
            #expect(await result == .error(EINTR))
        }
    }

    @Test func signalsAndAnswersMayMeet() async throws {
        ignoreUserSignal()
        let files = SlowFileSystem()
        try await mounted(files) { _, path in
            let readings = await onThread { () -> [Reading] in
                unblockUserSignal()
                let reader = pthread_self()
                let isOver = NIOLockedValueBox(false)
                let signaller = Thread {
                    // The reader's thread lives for as long as it has not said that it is over.
                    while isOver.withLockedValue({ over in
                        if !over { pthread_kill(reader, SIGUSR1) }
                        return !over
                    }) { sched_yield() }
                }
                signaller.start()
                defer { isOver.withLockedValue { $0 = true } }
                return (0..<2000).map { _ in readAll(path + "/soon", step: 4096) }
            }
            #expect(readings.allSatisfy { $0 == .bytes(files.contents) || $0 == .error(EINTR) })
            #expect(await onThread { readAll(path + "/soon") } == .bytes(files.contents))
        }
    }

    @Test func aKilledProcessEnds() async throws {
        let files = SlowFileSystem()
        try await mounted(files) { _, path in
            let process = try await Child.start("cat", [path + "/slow"], output: .discarded)
            await files.begun.reach(1)
            process.kill(SIGKILL)
            await files.cancelled.reach(1)
            #expect(try await process.wait().signal == SIGKILL)
        }
    }

    @Test func hundredsOfPendingRepliesHoldUpNobody() async throws {
        let files = SlowFileSystem()
        let count = 500
        try await mounted(files) { _, path in
            await withTaskGroup { group in
                for number in 0..<count {
                    group.addTask { await onThread { readAll("\(path)/slow-\(number)", step: 4096) } }
                }
                await files.begun.reach(count)
                let fast = await onThread { readAll(path + "/fast", step: 4096) }
                #expect(fast == .bytes(files.contents))
                files.gate.open()
                for await result in group { #expect(result == .bytes(files.contents)) }
            }
        }
    }

    @Test func stoppingEndsWhatIsPending() async throws {
        let files = SlowFileSystem()
        try await mounted(files) { session, path in
            async let first = onThread { readAll(path + "/slow") }
            async let second = onThread { readAll(path + "/slow") }
            await files.begun.reach(2)
            await onThread { session.stop() }
            await files.cancelled.reach(2)
            for result in [await first, await second] {
                guard case .error = result else {
                    Issue.record("a read after the end gave \(result)")
                    continue
                }
            }
            #expect(!session.isServing)
            await session.waitUntilEnded()
            await onThread { session.stop() }
        }
    }
}

/// A signal that only ends waits: without SA_RESTART, and with a handler so that it does not end the process.
private func ignoreUserSignal() {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in }
    sigaction(SIGUSR1, &action, nil)
}

/// Threads of the cooperative pool block it, and the calling thread has inherited that.
private func unblockUserSignal() {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGUSR1)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
}
