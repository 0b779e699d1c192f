// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Storage
import Testing

@Suite(.timeLimit(.minutes(5))) struct StoreTests {
    @Test func aSecondOpenIsToldWhoHasTheStore() throws {
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        #expect {
            try directory.open()
        } throws: { error in
            guard let error = error as? StorageError else { return false }
            return error.code == .locked && error.message.contains("process \(getpid())")
        }
        try store.close()
        let again = try directory.open()
        try again.close()
    }

    @Test func aStoreGoesOnWhereItWas() throws {
        var generator = Seeded("aStoreGoesOn")
        let directory = try TemporaryDirectory()
        var samples: [Sample] = []
        var agent: String?
        for round in 0..<5 {
            let store = try directory.open()
            #expect(agent == nil || agent == store.catalog.agent.hex)
            agent = store.catalog.agent.hex
            for sample in samples { #expect(try store.chunks.holds(sample)) }
            for sample in Sample.some(20, &generator) {
                try store.chunks.insert(sample)
                samples.append(sample)
            }
            if round % 2 == 0 { try store.close() }
        }
        #expect(try directory.segments.count <= 3)
    }

    @Test func aStoreOfAnotherFormatIsLeftAlone() throws {
        let directory = try TemporaryDirectory()
        try directory.open().close()
        try Data("larder store 3\nabc\n".utf8).write(to: URL(fileURLWithPath: directory.path + "/store/format"))
        #expect {
            try directory.open()
        } throws: { ($0 as? StorageError)?.code == .unsupported }
    }

    @Test func aStoreOfTheFormatBeforeIsReadAndUpgraded() throws {
        var generator = Seeded("aStoreOfTheFormatBefore")
        let directory = try TemporaryDirectory()
        let samples = Sample.some(20, &generator)
        let before = try directory.open()
        for sample in samples { try before.chunks.insert(sample) }
        try before.close()
        let format = URL(fileURLWithPath: directory.path + "/store/format")
        let text = try String(contentsOf: format, encoding: .utf8)
        let secret = try #require(text.split(separator: "\n").last)
        try Data("larder store 1\n\(secret)\n".utf8).write(to: format)
        let after = try directory.open()
        for sample in samples { #expect(try after.chunks.holds(sample)) }
        #expect(try String(contentsOf: format, encoding: .utf8) == "larder store 2\n\(secret)\n")
        try after.close()
    }

    @Test func aDirectoryThatCannotBeIsNamed() throws {
        let directory = try TemporaryDirectory()
        try Data("x".utf8).write(to: URL(fileURLWithPath: directory.path + "/store"))
        #expect {
            try directory.open()
        } throws: { error in
            guard let error = error as? StorageError else { return false }
            return error.code == .io && error.message.contains(directory.path)
        }
    }
}
