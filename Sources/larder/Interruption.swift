// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc

/// Ends the process on SIGINT and SIGTERM after a clean-up and a last line.
///
/// The process ends and no task is cancelled, because a task may sit in a read(2) of a pipe that nobody writes to. The
/// agent sees the connection end: what was not whole is not published.
struct Interruption {
    private let sources: [any DispatchSourceSignal]

    /// - Parameters:
    ///   - line: what stderr ends with.
    ///   - cleanUp: removes what must not stay, such as a temporary file.
    init(line: @escaping @Sendable () -> String, cleanUp: @escaping @Sendable () -> Void = {}) {
        sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                cleanUp()
                Output.line(line())
                _exit(ExitStatus.interrupted.rawValue)
            }
            source.resume()
            return source
        }
    }

    /// From here on it is too late to interrupt: what was asked for is done.
    func end() { for source in sources { source.cancel() } }
}
