// SPDX-License-Identifier: Apache-2.0

import Holder
import Testing

@Suite struct HolderTableTests {
    @Test("P6: a volume goes to its successor when the connection of the one before ends, and not sooner")
    func handsOver() {
        var table = HolderTable(grace: 1000)
        #expect(
            table.take("ci", path: "/m", by: 1, replacing: false, now: 0) == [
                .tell(connection: 1, .init(.unknown, "ci"))
            ])
        #expect(
            table.mount("ci", path: "/m", byteCount: 7, by: 1, now: 0)
                == [.mount(connection: 1, volume: "ci", path: "/m", byteCount: 7)])
        table.add("ci", path: "/m", owner: 1, now: 0)
        table.serves("ci", 1)
        #expect(table.take("ci", path: "/m", by: 2, replacing: false, now: 5).isEmpty)
        #expect(table.closed(1, now: 6) == [.grant(connection: 2, volume: "ci")])
        #expect(table.owner(of: "ci") == 2)
    }

    @Test("P6: who replaces has the other asked to leave, and killed where it does not; who only waits is refused")
    func replaces() {
        var table = HolderTable(grace: 1000)
        table.add("ci", path: "/m", owner: 1, now: 0)
        table.serves("ci", 1)
        #expect(table.take("ci", path: "/m", by: 2, replacing: true, now: 0) == [.tell(connection: 1, .init(.drain))])
        #expect(table.tick(now: HolderTable.drainLimit - 1).isEmpty)
        #expect(table.tick(now: HolderTable.drainLimit) == [.kill(connection: 1)])
        #expect(table.closed(1, now: 20_000) == [.grant(connection: 2, volume: "ci")])
        table.serves("ci", 2)
        #expect(table.take("ci", path: "/m", by: 3, replacing: false, now: 30_000).isEmpty)
        guard case .tell(3, let message) = table.tick(now: 30_000 + HolderTable.drainLimit).first else {
            Issue.record("nothing was told")
            return
        }
        #expect(message.verb == .refused)
        #expect(table.owner(of: "ci") == 2)
    }

    @Test(
        "P6: nothing waits for ever: a mount that nobody serves ends after its limit, an agent that starts notwithstanding"
    )
    func ends() {
        var table = HolderTable(grace: 1000)
        table.add("ci", path: "/m", owner: 1, now: 0)
        table.serves("ci", 1)
        #expect(table.tick(now: 100_000).isEmpty)
        #expect(table.closed(1, now: 100_000).isEmpty)
        #expect(
            table.take("ci", path: "/m", by: 2, replacing: false, now: 100_500) == [.grant(connection: 2, volume: "ci")]
        )
        #expect(table.tick(now: 100_999).isEmpty)
        #expect(table.tick(now: 101_000) == [.drop(volume: "ci", unmount: true)])
        #expect(table.take("ci", path: "/m", by: 2, replacing: false, now: 101_001).count == 1)
    }

    @Test("Another path, a stranger's drop and what is no message are refused")
    func refuses() {
        var table = HolderTable(grace: 1000)
        table.add("ci", path: "/m", owner: 1, now: 0)
        guard case .tell(2, let message) = table.take("ci", path: "/n", by: 2, replacing: false, now: 0).first else {
            Issue.record("nothing was told")
            return
        }
        #expect(message.verb == .refused && message[1].contains("'/m'"))
        #expect(table.drop("ci", by: 2).isEmpty)
        #expect(table.drop("ci", by: 1) == [.drop(volume: "ci", unmount: false)])
        #expect(HolderMessage(Array("nonsense\nci".utf8)) == nil)
        #expect(
            HolderMessage(HolderMessage(.take, "ci", "/m", "wait").bytes) == HolderMessage(.take, "ci", "/m", "wait"))
    }
}
