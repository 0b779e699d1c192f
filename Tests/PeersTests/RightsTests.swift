// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Peers
import Storage
import Testing

@Suite("P10: certificates say who may publish and read what", .timeLimit(.minutes(2)))
struct RightsTests: SecurePair {
    @Test("A publication without the right is refused and reported; what is allowed gets through")
    func publish() async throws {
        let certificates = try Certificates("ours")
        let limited = try certificates.keyring("two", ["ci": .publish, "release": .read])
        try await pair(try certificates.keyring("one"), limited) { one, two in
            try await one.meets("two")
            try await two.meets("one")
            let bad = try await two.publish("release/a")
            let worse = try await two.publish("other/a")
            let good = try await two.publish("ci/a")
            #expect(try one.directory.lookup(good.key) == good)
            #expect(try one.directory.lookup(bad.key) == nil && one.directory.lookup(worse.key) == nil)
            #expect(two.service.refusals.keys.sorted() == ["other", "release"])
            // What is refused for good is not waited for: a miss is still answered at once.
            try await eventually { one.directory.absenceIsCertain() }
        }
    }

    @Test("Names of a namespace are told only to those who may read it")
    func names() async throws {
        let certificates = try Certificates("ours")
        let limited = try certificates.keyring("two", ["ci": .read])
        try await pair(try certificates.keyring("one"), limited) { one, two in
            try await one.meets("two")
            try await two.meets("one")
            let hidden = try await one.publish("secret/a")
            let shown = try await one.publish("ci/a")
            #expect(try two.directory.lookup(shown.key) == shown)
            #expect(try two.directory.lookup(hidden.key) == nil)
            #expect(await two.directory.catchUp(timeout: .seconds(30)))
            #expect(try two.directory.lookup(hidden.key) == nil)
        }
    }

    @Test("Digests are told only of objects that may be read; a holder is told with the key that opens it")
    func digests() async throws {
        let certificates = try Certificates("ours")
        let limited = try certificates.keyring("two", ["ci": .read])
        try await pair(try certificates.keyring("one"), limited) { one, two in
            let address = try await one.address()
            let three = try Agent("three", keyring: try certificates.keyring("three")) { $0.peers = [address] }
            try await running([three]) {
                try await one.meets("two", "three")
                try await two.meets("one")
                try await three.meets("one")
                let (open, _) = try await object(one, "ci/a", [[1, 2, 3]])
                let (secret, _) = try await object(one, "secret/a", [[7, 8, 9]])
                _ = try await three.directory.publish([.holding(manifest: secret, held: true)])
                let last = try await one.publish("ci/last")
                try await eventually { try two.directory.lookup(last.key) == last }
                let holders = try two.store.catalog.holders(of: open)
                #expect(holders == [one.service.agent])
                #expect(try two.store.catalog.holders(of: secret).isEmpty)
                #expect(await two.directory.catchUp(timeout: .seconds(30)))
                #expect(try two.store.catalog.holders(of: secret).isEmpty)
                // The same bytes under a key that it may read.
                try await one.publish("ci/b", .object(manifest: secret, size: 3))
                try await eventually { try two.store.catalog.holders(of: secret).contains(one.service.agent) }
            }
        }
    }

    @Test("Who takes the id of an agent that is dead must be allowed all that it held")
    func takenID() async throws {
        let certificates = try Certificates("ours")
        let one = try Agent("one", keyring: try certificates.keyring("one")) {
            $0.limits.heartbeat = .milliseconds(500)
        }
        try await running([one]) {
            let address = try await one.address()
            let two = try Agent("two", keyring: try certificates.keyring("two")) { $0.peers = [address] }
            try await running([two]) { try await one.meets("two") }
            try await eventually { one.state(of: "two") == .dead }
            let narrow = try certificates.keyring("three", ["ci": .publish])
            let thief = try Agent("three", keyring: narrow, store: two.store) { $0.peers = [address] }
            try await running([thief]) {
                try await fails(thief, with: "403")
                #expect(one.state(of: "three") == nil)
            }
            let wide = try certificates.keyring("four")
            let heir = try Agent("four", keyring: wide, store: two.store) { $0.peers = [address] }
            try await running([heir]) { try await one.meets("four") }
        }
    }

    @Test("Chunks of a namespace that may not be read are absent, by whatever digest they are asked for")
    func read() async throws {
        let certificates = try Certificates("ours")
        let limited = try certificates.keyring("two", ["ci": .read])
        try await pair(try certificates.keyring("one"), limited) { one, two in
            try await two.meets("one")
            one.service.setLeaseHandler { _, _, _ in true }
            let (open, openDigests) = try await object(one, "ci/a", [[1, 2, 3], [4, 5, 6]])
            let (secret, secretDigests) = try await object(one, "secret/a", [[7, 8, 9]])
            let source = try await source(one)
            let allowed = try await fetch(two, open, openDigests, from: source)
            #expect(allowed.got == openDigests)
            let denied = try await fetch(two, secret, secretDigests, from: source)
            #expect(denied.got.isEmpty && denied.absent == Set(secretDigests))
            // Another object's name does not open the door.
            let mixed = try await fetch(two, open, [openDigests[2], secretDigests[2]], from: source)
            #expect(mixed.got.isEmpty)
            #expect(try await two.service.lease(open, from: source, for: .seconds(60)))
            #expect(try await !two.service.lease(secret, from: source, for: .seconds(60)))
        }
    }

    @Test("P3: a reader that began keeps its object when the key moves on")
    func overwritten() async throws {
        let certificates = try Certificates("ours")
        let limited = try certificates.keyring("two", ["ci": .read])
        try await pair(try certificates.keyring("one"), limited) { one, two in
            try await two.meets("one")
            let (old, digests) = try await object(one, "ci/a", [[1, 2, 3]])
            let source = try await source(one)
            #expect(try await fetch(two, old, [digests[0]], from: source).got == [digests[0]])
            _ = try await object(one, "ci/a", [[4, 5, 6]])
            #expect(try await fetch(two, old, digests, from: source).got == digests)
        }
    }

    @Test("An agent that may read more after a restart learns what was there before")
    func wider() async throws {
        let certificates = try Certificates("ours")
        let one = try Agent("one", keyring: try certificates.keyring("one")) { _ in }
        try await running([one]) {
            let address = try await one.address()
            let narrow = try certificates.keyring("two", ["ci": .read])
            let two = try Agent("two", keyring: narrow) { $0.peers = [address] }
            let hidden = try await running([two]) {
                try await two.meets("one")
                let hidden = try await one.publish("release/a")
                let shown = try await one.publish("ci/a")
                try await eventually { try two.directory.lookup(shown.key) == shown }
                #expect(try two.directory.lookup(hidden.key) == nil)
                return hidden
            }
            let wide = try certificates.keyring("two", ["ci": .read, "release": .read])
            let again = try Agent("two", keyring: wide, store: two.store) { $0.peers = [address] }
            try await running([again]) {
                try await eventually { try again.directory.lookup(hidden.key) == hidden }
            }
        }
    }

    @Test("What others published is not taken from one who may not publish it")
    func relayed() async throws {
        let certificates = try Certificates("ours")
        try await pair(try certificates.keyring("one"), try certificates.keyring("two", ["ci": .read])) { one, two in
            try await one.meets("two")
            try await two.meets("one")
            let entry = try await one.publish("ci/a")
            try await eventually { try two.directory.lookup(entry.key) == entry }
            let address = try await two.address()
            let third = try Agent("three", keyring: try certificates.keyring("three")) {
                $0.peers = [address]
            }
            try await running([third]) {
                try await third.meets("two")
                _ = await third.directory.catchUp(timeout: .seconds(30))
                #expect(try third.directory.lookup(entry.key) == nil)
            }
        }
    }
}
