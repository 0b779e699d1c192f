// SPDX-License-Identifier: Apache-2.0

import Content
import Testing

@Suite struct KeyTests {
    @Test(arguments: [
        ("ci/a", "ci", "a", "ci", "a"),
        ("ci/app/1.tar", "ci", "app/1.tar", "ci/app", "1.tar"),
        ("ci/...", "ci", "...", "ci", "..."),
        ("ci/.hidden", "ci", ".hidden", "ci", ".hidden"),
        ("ci/ä/日本", "ci", "ä/日本", "ci/ä", "日本"),
        ("ci/a b\n", "ci", "a b\n", "ci", "a b\n"),
    ])
    func takesApart(text: String, namespace: String, path: String, parent: String, name: String) throws {
        let key = try Key(text)
        #expect(key.text == text)
        #expect(key.namespace == namespace)
        #expect(key.path == path)
        #expect(key.parent == parent)
        #expect(key.name == name)
        #expect(try Key(parent: parent, name: name) == key)
    }

    @Test(arguments: [
        "", "/", "ci", "ci/", "/ci", "ci//a", "ci/a/", "ci/.", "ci/..", "./a", "../a", "ci/../a", "ci/a/./b", "ci/a\0b",
    ])
    func refusesWhatIsNoKey(text: String) {
        #expect { try Key(text) } throws: { ($0 as? ContentError)?.code == .invalidKey }
    }

    @Test func boundsAreExact() throws {
        let component = String(repeating: "x", count: Key.componentByteCountMax)
        #expect(throws: Never.self) { try Key("ci/" + component) }
        #expect { try Key("ci/x" + component) } throws: { ($0 as? ContentError)?.code == .keyTooLong }
        let longest = "ci/" + Array(repeating: component, count: 3).joined(separator: "/") + "/"
        let filler = String(repeating: "y", count: Key.byteCountMax - longest.utf8.count)
        #expect(throws: Never.self) { try Key(longest + filler) }
        #expect { try Key(longest + "a/" + filler) } throws: { ($0 as? ContentError)?.code == .keyTooLong }
    }

    @Test func aNameHoldsNoSlash() {
        #expect { try Key(parent: "ci", name: "a/b") } throws: { ($0 as? ContentError)?.code == .invalidKey }
    }

    @Test func messagesAreFitForALog() {
        do {
            _ = try Key("ci/\u{1}\n/../" + String(repeating: "y", count: 300))
            Issue.record("a bad key was taken")
        } catch {
            #expect(error.message.unicodeScalars.allSatisfy { $0.value >= 32 })
            #expect(error.message.count < 200)
        }
    }

    @Test(arguments: [("ci", true), ("a.b_C-9", true), ("", false), (".a", false), ("a/b", false), ("ä", false)])
    func namespacesAreNarrower(name: String, isGood: Bool) {
        #expect(((try? Key.check(namespace: name)) != nil) == isGood)
    }

    @Test func namespacesHaveAtMost63Bytes() {
        #expect((try? Key.check(namespace: String(repeating: "n", count: 63))) != nil)
        #expect((try? Key.check(namespace: String(repeating: "n", count: 64))) == nil)
    }

    @Test func spellingsOfOneLetterAreTwoKeys() throws {
        let (composed, decomposed) = (try Key("ci/caf\u{e9}/x"), try Key("ci/cafe\u{301}/x"))
        #expect(composed != decomposed && (composed < decomposed) != (decomposed < composed))
        #expect(Set([composed, decomposed]).count == 2)
        #expect(composed.isBelow("ci/caf\u{e9}") && !composed.isBelow("ci/cafe\u{301}"))
    }

    @Test func keysMoveWithTheirDirectory() throws {
        let (from, to) = (try Key("ci/d"), try Key("ci/elsewhere/e"))
        #expect(try Key("ci/d/\u{301}x/y").moved(from: from, to: to) == Key("ci/elsewhere/e/\u{301}x/y"))
        #expect(try from.moved(from: from, to: to) == to)
        let beside = try Key("ci/dd")
        #expect(!from.isBelow("ci/d") && !beside.isBelow("ci/d") && from.isBelow("ci"))
    }
}
