// SPDX-License-Identifier: Apache-2.0

import Foundation
import Peers
import Testing

@Suite("What a certificate says of its agent")
struct AuthorityTests {
    @Test("P10: site, name and rights are URIs and come back from them")
    func roundTrip() throws {
        let rights = Rights(["ci": .publish, "release": .read])
        let authority = try Authority(site: "basement", agent: "base-1", rights: rights)
        #expect(
            authority.uris == [
                "larder://basement/base-1", "larder-namespace:ci?rights=rw", "larder-namespace:release?rights=ro",
            ]
        )
        #expect(try Authority(uris: authority.uris + ["https://example.org/", "spiffe://x/y"]) == authority)
    }

    @Test("P10: rights are no wider than what is written")
    func rights() {
        let some = Rights(["ci": .publish, "release": .read])
        #expect(some.mayPublish("ci") && some.mayRead("ci"))
        #expect(some.mayRead("release") && !some.mayPublish("release"))
        #expect(!some.mayRead("ci2") && !some.mayRead("") && !some.mayRead("*"))
        #expect(Rights(["*": .read]).mayRead("anything") && !Rights(["*": .read]).mayPublish("anything"))
        #expect(Rights(["*": .read, "ci": .publish]).mayPublish("ci"))
        #expect(!Rights([:]).mayRead("ci"))
        #expect(some.readsAll(of: Rights(["ci": .read])) && !some.readsAll(of: Rights(["*": .read])))
        #expect(some.publishesAll(of: Rights(["ci": .read])) && !some.publishesAll(of: some))
        #expect(Rights.all.publishesAll(of: .all) && !Rights(["*": .read]).publishesAll(of: some))
        #expect(!Rights(["ci": .publish]).readsAll(of: some) && Rights(["*": .read]).readsAll(of: some))
    }

    @Test("P10: said twice, the lesser right holds")
    func twice() throws {
        let uris = ["larder://s/a", "larder-namespace:ci?rights=rw", "larder-namespace:ci?rights=ro"]
        #expect(try !Authority(uris: uris).rights.mayPublish("ci"))
    }

    @Test("P10: a name is that of one agent, or of any of its site, never of another site")
    func names() throws {
        let one = try Authority(site: "s", agent: "a", rights: .all)
        #expect(one.allows(site: "s", agent: "a") && !one.allows(site: "s", agent: "b"))
        #expect(!one.allows(site: "t", agent: "a"))
        let any = try Authority(site: "s", agent: "*", rights: .all)
        #expect(any.allows(site: "s", agent: "b") && !any.allows(site: "t", agent: "b"))
    }

    @Test(
        "A certificate that says nothing clear is no certificate of an agent",
        arguments: [
            [], ["larder-namespace:ci?rights=rw"], ["larder://s"], ["larder://s/a/b"], ["larder:///a"], ["larder://s/"],
            ["larder://*/a"], ["larder://s/a", "larder://s/b"], ["larder://s/a", "larder-namespace:ci"],
            ["larder://s/a", "larder-namespace:ci?rights=all"], ["larder://s/a", "larder-namespace:?rights=rw"],
            ["larder://s/a", "larder-namespace:../x?rights=rw"], ["larder://s p/a"],
        ]
    )
    func unclear(uris: [String]) {
        #expect(throws: PeersError.self) { try Authority(uris: uris) }
    }

    @Test("An issued certificate says what was asked for, and who signed it")
    func issued() throws {
        let (authority, key) = try CertificateAuthority.make(
            name: "ours", from: Date(), to: Date(timeIntervalSinceNow: 60))
        let wanted = try Authority(site: "s", agent: "a", rights: Rights(["ci": .publish]))
        let again = try CertificateAuthority(certificate: authority.certificate, key: key)
        let issued = try again.issue(wanted, from: Date(), to: Date(timeIntervalSinceNow: 30))
        let leaf = try #require(try CertificateFacts.read(pem: issued.certificate).first)
        let root = try #require(try CertificateFacts.read(pem: authority.certificate).first)
        #expect(leaf.authority == wanted && !leaf.isAuthority && leaf.problem == nil)
        #expect(root.isAuthority && root.authority == nil && root.isRoot)
        #expect(leaf.isSigned(by: root) && !leaf.isSigned(by: leaf) && root.isSigned(by: root))
        let (other, _) = try CertificateAuthority.make(name: "ours", from: Date(), to: Date(timeIntervalSinceNow: 60))
        #expect(try !leaf.isSigned(by: #require(try CertificateFacts.read(pem: other.certificate).first)))
        #expect(throws: PeersError.self) { try CertificateAuthority(certificate: other.certificate, key: key) }
    }

    @Test("Files that cannot be used are named with their field")
    func files() throws {
        let certificates = try Certificates("ours")
        let good = try certificates.issue("one")
        let other = try certificates.issue("two")
        var files = good
        files.key = "/nowhere/tls.key"
        #expect(message(files).contains("tls.key: '/nowhere/tls.key' cannot be read"))
        files = good
        files.certificate = good.key
        #expect(message(files).contains("tls.certificate: '\(good.key)'"))
        files = good
        files.trust = [certificates.file, good.key]
        #expect(message(files).contains("tls.trust[1]: '\(good.key)'"))
        files = good
        files.key = other.key
        #expect(message(files).contains("is not the key of"))
        files = good
        files.certificate = certificates.file
        #expect(message(files).contains("of an authority, not of an agent"))
        #expect(throws: PeersError.self) { try Keyring(files: good).check(site: "basement", agent: "two") }
    }

    private func message(_ files: TLSFiles) -> String {
        do throws(PeersError) {
            _ = try Credentials(files: files)
            return ""
        } catch { return error.message }
    }
}
