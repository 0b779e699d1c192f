// SPDX-License-Identifier: Apache-2.0

import CSpawn
import Foundation

/// The thread of one child: it starts it, collects what it writes, and reaps it.
final class ChildWatch {
    let pid: Int32
    let state: ChildState
    var endsGroup = false
    /// The reading end of its output; -1 for none.
    private let output: Int32

    init(
        _ program: String,
        _ arguments: [String],
        in directory: String?,
        input: Child.Input,
        output: Child.Output
    ) throws {
        var (inputPipe, outputPipe) = ([Int32](repeating: -1, count: 2), [Int32](repeating: -1, count: 2))
        // Close-on-exec: children that others start meanwhile must not hold these open.
        if input == .pipe, pipe2(&inputPipe, O_CLOEXEC) != 0 { throw SpawnError(program: "pipe", code: errno) }
        if output == .collected, pipe2(&outputPipe, O_CLOEXEC) != 0 { throw SpawnError(program: "pipe", code: errno) }
        defer {
            if inputPipe[0] >= 0 { close(inputPipe[0]) }
            if outputPipe[1] >= 0 { close(outputPipe[1]) }
        }
        var streams = Streams(input: inputPipe[0], output: outputPipe[1])
        if output == .discarded { streams.output = -2 }
        do {
            pid = try spawn(program, arguments, in: directory, streams)
        } catch {
            if inputPipe[1] >= 0 { close(inputPipe[1]) }
            if outputPipe[0] >= 0 { close(outputPipe[0]) }
            throw error
        }
        state = ChildState(input: inputPipe[1])
        self.output = outputPipe[0]
    }

    func run() {
        let (pid, output, state) = (pid, output, state)
        var ended = [Int32](repeating: -1, count: 2)
        guard output >= 0, pipe2(&ended, O_CLOEXEC) == 0 else {
            awaitEnd()
            return state.reap(pid)
        }
        let (seesEnd, tellsEnd) = (ended[0], ended[1])
        let isRead = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            ChildWatch.collect(output, until: seesEnd, into: state)
            isRead.signal()
        }
        awaitEnd()
        close(tellsEnd)
        isRead.wait()
        close(seesEnd)
        close(output)
        state.reap(pid)
    }

    /// Until the child has ended; it is left as it is, so that its number stays its own.
    private func awaitEnd() {
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        if endsGroup { kill(-pid, SIGKILL) }
    }

    /// Reads to the end of file; once the child has ended, what is there then: something that left its group may hold
    /// the pipe open for ever.
    private static func collect(_ output: Int32, until ended: Int32, into state: ChildState) {
        _ = fcntl(output, F_SETFL, O_NONBLOCK)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        var isOver = false
        while true {
            let count = read(output, buffer.baseAddress, buffer.count)
            if count > 0 {
                state.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                return
            } else if isOver {
                return
            } else {
                var waits = [
                    pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                    pollfd(fd: ended, events: Int16(POLLIN), revents: 0),
                ]
                _ = poll(&waits, 2, -1)
                isOver = waits[1].revents != 0
            }
        }
    }
}
