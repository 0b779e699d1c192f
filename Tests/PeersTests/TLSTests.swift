// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Peers
import Storage
import Testing

@Suite("P10: agents speak TLS with certificates on both ends", .timeLimit(.minutes(2)))
struct TLSTests: SecurePair {
    @Test("Two agents of a site publish to and read from each other")
    func peers() async throws {
        let certificates = try Certificates("ours")
        try await pair(try certificates.keyring("one"), try certificates.keyring("two")) { one, two in
            try await one.meets("two")
            try await two.meets("one")
            #expect(two.service.members().first?.authority?.description == "basement/one")
            #expect(one.service.members().first?.authority?.description == "basement/two")
            let entry = try await one.publish("ci/a")
            #expect(try two.directory.lookup(entry.key) == entry)
            var random = Random("chunks over TLS")
            let contents = (0..<40).map { _ in random.bytes(100_000) }
            let (manifest, digests) = try await object(one, "ci/b", contents)
            let (got, absent) = try await fetch(two, manifest, digests, from: try await source(one))
            #expect(got == digests && absent.isEmpty)
        }
    }

    @Test("Two sites with an authority each talk where each trusts both")
    func sites() async throws {
        let (ours, theirs) = (try Certificates("ours"), try Certificates("theirs"))
        let both = [ours.file, theirs.file]
        let one = try ours.keyring("one", trust: both)
        let two = try theirs.keyring("two", site: "cloud", trust: both)
        try await pair(one, two, sites: ("basement", "cloud")) { one, two in
            try await one.meets("two")
            try await two.meets("one")
            let entry = try await two.publish("ci/a")
            #expect(try one.directory.lookup(entry.key) == entry)
        }
    }

    @Test("A certificate of another authority is refused, and both ends say so")
    func otherAuthority() async throws {
        let (ours, theirs) = (try Certificates("ours"), try Certificates("theirs"))
        try await pair(try ours.keyring("one"), try theirs.keyring("two")) { one, two in
            try await fails(two, with: "is not believed")
            #expect(two.state(of: "one") == nil && one.service.members().isEmpty)
        }
    }

    @Test("A caller whose certificate has ended is not spoken with")
    func ended() async throws {
        let certificates = try Certificates("ours")
        let past = try certificates.issue(
            "two",
            from: Date(timeIntervalSinceNow: -7200),
            to: Date(timeIntervalSinceNow: -3600)
        )
        try await pair(try certificates.keyring("one"), try Keyring(files: past)) { one, two in
            try await eventually { failure(two) != nil }
            #expect(two.state(of: "one") == nil && one.service.members().isEmpty)
        }
    }

    @Test("A server whose certificate has ended is not spoken with")
    func endedServer() async throws {
        let certificates = try Certificates("ours")
        let past = try certificates.issue(
            "one",
            from: Date(timeIntervalSinceNow: -7200),
            to: Date(timeIntervalSinceNow: -3600)
        )
        try await pair(try Keyring(files: past), try certificates.keyring("two")) { one, two in
            try await fails(two, with: "is not believed: expired")
            #expect(one.service.members().isEmpty)
        }
    }

    @Test("An agent of a site that is not allowed is not spoken with")
    func otherSite() async throws {
        let certificates = try Certificates("ours")
        try await pair(try certificates.keyring("one", site: "cloud"), try certificates.keyring("two")) { one, two in
            try await fails(two, with: "site 'cloud' is not allowed here")
            #expect(one.service.members().isEmpty)
        }
    }

    @Test("An agent that calls itself otherwise than its certificate does is not spoken with")
    func otherName() async throws {
        let certificates = try Certificates("ours")
        try await pair(try certificates.keyring("one"), try certificates.keyring("three")) { one, two in
            try await fails(two, with: "403")
            #expect(two.state(of: "one") == nil && one.service.members().isEmpty)
        }
    }

    @Test("A certificate for any agent of a site serves them all")
    func anyAgent() async throws {
        let certificates = try Certificates("ours")
        let keyring = try certificates.keyring("*")
        try await pair(keyring, keyring) { one, two in
            try await one.meets("two")
            try await two.meets("one")
        }
    }

    @Test("A renewed certificate is used without a restart")
    func renewed() async throws {
        let certificates = try Certificates("ours")
        let files = try certificates.issue("two", ["ci": .read])
        try await pair(try certificates.keyring("one"), try Keyring(files: files)) { one, two in
            try await one.meets("two")
            try await two.meets("one")
            let refused = try await two.publish("ci/a")
            #expect(try one.directory.lookup(refused.key) == nil)
            _ = try certificates.issue("two", ["ci": .publish])
            try await eventually {
                let entry = try await two.publish("ci/b")
                return try one.directory.lookup(entry.key) == entry
            }
        }
    }

    @Test("Files that are half written leave the certificate that was there in use")
    func halfRenewed() async throws {
        let certificates = try Certificates("ours")
        let files = try certificates.issue("two")
        let keyring = try Keyring(files: files)
        try await pair(try certificates.keyring("one"), keyring) { one, two in
            try await two.meets("one")
            try "no key".write(toFile: files.key, atomically: true, encoding: .utf8)
            let entry = try await two.publish("ci/a")
            try await eventually { try one.directory.lookup(entry.key) == entry }
            #expect(keyring.current.authority.agent == "two")
        }
    }

    @Test("Plaintext at a TLS port is told which end lacks TLS")
    func plaintextCaller() async throws {
        try await pair(try Certificates("ours").keyring("one"), nil) { one, two in
            try await fails(two, with: "speaks TLS and this agent plaintext: this agent lacks 'tls'")
            #expect(one.service.members().isEmpty)
        }
    }

    @Test("TLS at a plaintext port is told which end lacks TLS")
    func plaintextServer() async throws {
        try await pair(nil, try Certificates("ours").keyring("two")) { one, two in
            try await fails(two, with: "speaks plaintext and this agent TLS: that agent lacks 'tls'")
            #expect(one.service.members().isEmpty)
        }
    }
}
