// SPDX-License-Identifier: Apache-2.0

import Agent
import Testing

struct LifeSignsTests {
    private func look(
        _ seconds: Int, tasks: UInt64, started: Bool = true, busy: Duration? = nil
    ) -> LifeSigns.Look {
        LifeSigns.Look(age: .seconds(seconds), hasStarted: started, tasks: tasks, mountBusyFor: busy)
    }

    private func signs(_ looks: LifeSigns.Look...) -> [Bool] {
        var signs = LifeSigns()
        return looks.map { signs.isAlive($0) }
    }

    @Test("P6: an agent whose tasks get on lives, and one whose tasks stop does not")
    func tasks() {
        let seen = signs(look(100, tasks: 1), look(101, tasks: 2), look(102, tasks: 2), look(103, tasks: 3))
        #expect(seen == [true, true, false, true])
    }

    @Test("P6: a start may hold the tasks up for a while")
    func start() {
        let seen = signs(
            look(1, tasks: 0, started: false), look(59, tasks: 0, started: false), look(61, tasks: 0, started: false),
            // A long recovery that leaves tasks a thread.
            look(62, tasks: 1, started: false))
        #expect(seen == [true, true, false, true])
    }

    @Test("P6: a mount none of whose requests ends is no life, and a mount that waits for its disk is")
    func mount() {
        let seen = signs(
            look(100, tasks: 1, busy: .milliseconds(3)), look(101, tasks: 2, busy: .seconds(30)),
            look(102, tasks: 3, busy: .seconds(36)), look(103, tasks: 4))
        #expect(seen == [true, true, false, true])
    }

    @Test("Who listens at a port is read off the kernel's table")
    func portHolder() {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:1CFC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31337 1 0 100 0
               1: 0100007F:1CFC 0100007F:A0F0 01 00000000:00000000 00:00000000 00000000     0        0 31338 1 0 100 0
               2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31339 1 0 100 0
            """
        #expect(PortHolder.listening(in: table, at: 7420) == ["socket:[31337]"])
        #expect(PortHolder.listening(in: table, at: 7421) == [])
    }
}
