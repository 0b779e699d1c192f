// SPDX-License-Identifier: Apache-2.0

import FUSE
import FUSESupport
import Foundation
import Testing

/// Every statfs keeps its thread until it is let go.
private final class BlockingFileSystem: Refusing, @unchecked Sendable {
    // Safety: its members are Sendable and constant.
    let begun = Counter()
    private let gate = NSCondition()
    nonisolated(unsafe) private var isOpen = false

    func open() {
        gate.withLock { isOpen = true }
        gate.broadcast()
    }

    override func getAttributes(_ request: Request, inode: UInt64, handle: UInt64?, reply: consuming Reply) {
        reply.attributes(Attributes(inode: inode, mode: 0o040755), timeout: 60)
    }

    override func statistics(_ request: Request, inode: UInt64, reply: consuming Reply) {
        begun.add()
        gate.withLock { while !isOpen { gate.wait() } }
        reply.error(.io)
    }
}

@Suite(.timeLimit(.minutes(5))) struct BusyTests {
    @Test("P6: a mount all of whose threads hang is told from one that is busy")
    func hangingThreads() async throws {
        let files = BlockingFileSystem()
        var options = SessionOptions()
        options.threadCount = 2
        try await mounted(files, options: options) { session, path in
            async let first = onThread { space(path) }
            await files.begun.reach(1)
            // The other thread waits for requests, however long the first one takes.
            while session.busyFor != nil { await Task.yield() }
            async let second = onThread { space(path) }
            await files.begun.reach(2)
            var longest = Duration.zero
            while longest < .milliseconds(50) {
                if let busy = session.busyFor { longest = busy }
                await Task.yield()
            }
            files.open()
            #expect(await first == EIO)
            #expect(await second == EIO)
            while session.busyFor != nil { await Task.yield() }
        }
    }

    private func space(_ path: String) -> Int32 {
        var space = statvfs()
        return statvfs(path, &space) == 0 ? 0 : errno
    }
}
