// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite("Children of tests", .timeLimit(.minutes(5)))
struct ChildTests {
    @Test("A child's output and end are seen, and nothing of its group outlives it")
    func ends() async throws {
        let ended = try await Child.sh("sleep 1000 & echo $!; echo error >&2; exit 7")
        #expect(ended.code == 7 && ended.signal == 0)
        let lines = ended.output.split(separator: "\n")
        #expect(lines.last == "error")
        let sleeper = try #require(lines.first.flatMap { Int32($0) })
        // The killed one may still be waiting to be reaped by whoever adopted it.
        let state = try? String(contentsOfFile: "/proc/\(sleeper)/stat", encoding: .utf8)
        #expect(state?.contains(") Z") ?? true || kill(sleeper, 0) != 0)
        let killed = try await Child.sh("kill -9 $$")
        #expect(killed.code == 137 && killed.signal == SIGKILL)
    }

    @Test("Who left the group and holds the pipe holds up nobody")
    func strays() async throws {
        let ended = try await Child.sh("setsid sleep 20 & echo $!")
        #expect(ended.code == 0)
        kill(try #require(Int32(ended.output.dropLast())), SIGKILL)
    }

    @Test("A cancelled wait kills the child and ends at once")
    func cancelled() async throws {
        let child = try await Child.start("sleep", ["1000"])
        let wait = Task { try await child.wait() }
        wait.cancel()
        // It throws, unless the child's end was there first.
        _ = await wait.result
        #expect(try await child.wait().signal == SIGKILL)
    }

    @Test("A child has no descriptor but its three, and a program that is not there is an error")
    func inherits() async throws {
        let other = try await Child.start("cat", input: .pipe, output: .collected)
        #expect(try await Child.run("ls", ["/proc/self/fd"]).output == "0\n1\n2\n3\n")
        await #expect(throws: SpawnError.self) { try await Child.run("/no/such/program") }
        other.closeInput()
        #expect(try await other.wait().code == 0)
    }
}
