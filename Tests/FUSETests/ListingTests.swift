// SPDX-License-Identifier: Apache-2.0

import FUSE
import FUSESupport
import Foundation
import NIOConcurrencyHelpers
import Testing

@Suite(.timeLimit(.minutes(5))) struct ListingTests {
    @Test func tenThousandNamesAreListedOnce() async throws {
        let files = MemoryFileSystem(timeout: 60)
        let expected = (0..<10_000).map { "name-\($0)-" + String(repeating: "x", count: $0 % 40) }
        for name in expected { files.add(name) }
        try await mounted(files) { _, path in
            let listed = try #require(await onThread { names(path) })
            #expect(listed == [".", ".."] + expected)
            #expect(files.state.withLockedValue(\.plusListings) > 0)
        }
    }

    @Test func aListingWithAttributesSparesTheLookups() async throws {
        let files = MemoryFileSystem(timeout: 60)
        for number in 0..<20 { files.add("name-\(number)", bytes: [UInt8](repeating: 1, count: number)) }
        try await mounted(files) { _, path in
            let sizes = await onThread {
                (names(path) ?? []).filter { !$0.hasPrefix(".") }.map { status(path + "/" + $0).status.st_size }
            }
            #expect(sizes == (0..<20).map { off_t($0) })
            #expect(files.state.withLockedValue(\.lookups).isEmpty)
        }
    }

    @Test func invalidationMakesANewLookup() async throws {
        let files = MemoryFileSystem(timeout: 3600)
        files.add("name")
        try await mounted(files) { session, path in
            for _ in 0..<3 { #expect(await statError(path + "/name") == 0) }
            #expect(files.state.withLockedValue(\.lookups["name"]) == 1)
            await onThread {
                session.invalidate(parent: 1, name: "name")
                session.invalidate(parent: 1, name: "never seen")
                session.invalidate(inode: 12345)
            }
            #expect(await statError(path + "/name") == 0)
            #expect(files.state.withLockedValue(\.lookups["name"]) == 2)
        }
    }

    @Test func aFullBufferTakesNoMore() {
        let buffer = DirectoryBuffer(capacity: 64, plus: false)
        let attributes = Attributes(inode: 7, mode: 0o100644)
        #expect(buffer.isEmpty)
        #expect(buffer.add(name: "first", attributes: attributes, offset: 1))
        #expect(buffer.add(name: "second", attributes: attributes, offset: 2))
        #expect(!buffer.add(name: "third", attributes: attributes, offset: 3))
        #expect(!buffer.isEmpty)
    }
}
