// SPDX-License-Identifier: Apache-2.0

import Foundation
import Storage
import Testing

@Suite(.timeLimit(.minutes(5))) struct StagingFileTests {
    private static func make(_ store: Store) throws -> StagingFile {
        try store.makeStagingFile(claim: store.space.open(label: "test") {})
    }

    private static func contents(_ file: StagingFile) throws -> [UInt8] {
        var out = [UInt8](repeating: 0xcc, count: Int(file.size) + 10)
        let count = try out.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return Array(out[..<count])
    }

    /// Against a byte array, any order of writes and truncations.
    @Test func itIsAFile() throws {
        var generator = Seeded("itIsAFile")
        let store = try TemporaryDirectory().open()
        for _ in 0..<20 {
            let file = try StagingFileTests.make(store)
            var model: [UInt8] = []
            var written = Set<Int>()
            for _ in 0..<60 {
                let at = Int.random(in: 0...20_000, using: &generator)
                if generator.next() % 5 == 0 {
                    try file.truncate(to: UInt64(at))
                    written = written.filter { $0 < at }
                    model = Array(model.prefix(at)) + [UInt8](repeating: 0, count: max(0, at - model.count))
                } else {
                    let bytes = generator.bytes(Int.random(in: 1...3000, using: &generator))
                    try bytes.withUnsafeBytes { try file.write($0, at: UInt64(at)) }
                    if model.count < at + bytes.count {
                        model += [UInt8](repeating: 0, count: at + bytes.count - model.count)
                    }
                    model.replaceSubrange(at..<at + bytes.count, with: bytes)
                    written.formUnion(at..<at + bytes.count)
                }
                #expect(file.size == UInt64(model.count))
                #expect(file.writtenByteCount == UInt64(written.count))
            }
            #expect(try StagingFileTests.contents(file) == model)
            let gaps = file.gaps(in: 0..<UInt64(model.count)).reduce(0) { $0 + $1.count }
            #expect(gaps == model.count - written.count)
            for gap in file.gaps(in: 100..<15_000) {
                #expect(gap.allSatisfy { !written.contains(Int($0)) })
            }
            file.close()
        }
    }

    @Test func nothingIsLeftBehind() throws {
        let directory = try TemporaryDirectory()
        let store = try directory.open()
        let staging = directory.path + "/store/staging"
        var file: StagingFile? = try StagingFileTests.make(store)
        try [UInt8](repeating: 1, count: 100).withUnsafeBytes { try file?.write($0, at: 0) }
        let crashed = try TemporaryDirectory(copyOf: directory)
        #expect(try FileManager.default.contentsOfDirectory(atPath: crashed.path + "/store/staging").count == 1)
        let other = try crashed.open()
        #expect(try FileManager.default.contentsOfDirectory(atPath: other.directory + "/staging").isEmpty)
        file = nil
        // Kept, empty, for the next one; gone with the store.
        let kept = try FileManager.default.contentsOfDirectory(atPath: staging)
        #expect(kept.count == 1)
        let attributes = try FileManager.default.attributesOfItem(atPath: staging + "/" + kept[0])
        #expect(attributes[.size] as? Int == 0)
        file = try StagingFileTests.make(store)
        #expect(file?.size == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: staging) == kept)
        // The last reference goes before the store does: only then is the file the store's again.
        file?.close()
        file = nil
        try store.close()
        #expect(try FileManager.default.contentsOfDirectory(atPath: staging).isEmpty)
    }

    @Test("P2: what a write leaves behind that meets the close is not found in the holes of the next file")
    func nothingOfAnother() async throws {
        let store = try TemporaryDirectory().open()
        let bytes = [UInt8](repeating: 0xaa, count: 5000)
        for _ in 0..<300 {
            let file = try StagingFileTests.make(store)
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    // Refused from the close on, which may have to wait for this thread.
                    while (try? bytes.withUnsafeBytes { try file.write($0, at: 0) }) != nil { await Task.yield() }
                }
                group.addTask { file.close() }
            }
        }
        for _ in 0..<100 {
            let next = try StagingFileTests.make(store)
            try [1].withUnsafeBytes { try next.write($0, at: 10_000) }
            #expect(try StagingFileTests.contents(next).prefix(10_000).allSatisfy { $0 == 0 })
        }
    }

    @Test func aClosedFileRefuses() throws {
        let store = try TemporaryDirectory().open()
        let file = try StagingFileTests.make(store)
        file.close()
        file.close()
        #expect(throws: StorageError.self) { try [1].withUnsafeBytes { try file.write($0, at: 0) } }
        #expect(throws: StorageError.self) { try file.truncate(to: 1) }
        #expect(file.writtenByteCount == 0)
    }

    @Test func offsetsBeyondAFileAreRefused() throws {
        let store = try TemporaryDirectory().open()
        let file = try StagingFileTests.make(store)
        #expect { try [1].withUnsafeBytes { try file.write($0, at: .max) } } throws: {
            ($0 as? StorageError)?.code == .tooLarge
        }
        #expect(throws: StorageError.self) { try file.truncate(to: .max) }
        #expect(file.size == 0)
    }

    @Test func writersOnManyThreadsDoNotDisturbEachOther() async throws {
        let store = try TemporaryDirectory().open()
        let file = try StagingFileTests.make(store)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<8 {
                group.addTask {
                    for at in stride(from: lane * 1000, to: 800_000, by: 8000) {
                        try [UInt8](repeating: UInt8(lane), count: 1000).withUnsafeBytes {
                            try file.write($0, at: UInt64(at))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(file.size == 800_000)
        #expect(file.gaps(in: 0..<800_000).isEmpty)
        for (at, byte) in try StagingFileTests.contents(file).enumerated() where Int(byte) != at / 1000 % 8 {
            Issue.record("byte \(at) is \(byte)")
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct ExtentsTests {
    @Test func extentsAreWhatASetOfBytesIs() {
        var generator = Seeded("extentsAreWhatASetOfBytesIs")
        for _ in 0..<200 {
            var extents = Extents()
            var model = Set<UInt64>()
            for _ in 0..<40 {
                let at = UInt64.random(in: 0...300, using: &generator)
                if generator.next() % 6 == 0 {
                    extents.truncate(to: at)
                    model = model.filter { $0 < at }
                } else {
                    let range = at..<at + UInt64.random(in: 0...40, using: &generator)
                    extents.insert(range)
                    model.formUnion(range)
                }
                #expect(Set(extents.ranges.flatMap { Array($0) }) == model)
                #expect(extents.byteCount == UInt64(model.count))
                #expect(zip(extents.ranges, extents.ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
                let asked =
                    UInt64.random(in: 0...150, using: &generator)..<UInt64.random(in: 150...400, using: &generator)
                #expect(Set(extents.gaps(in: asked).flatMap { Array($0) }) == Set(asked).subtracting(model))
            }
        }
    }
}
