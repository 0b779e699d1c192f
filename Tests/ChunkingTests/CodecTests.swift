// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Testing

@Suite struct CodecTests {
    /// - Parameter level: of zstd; nil: LZ4, as at rest.
    private static func compress(_ raw: [UInt8], level: Int32?) -> (codec: Codec, stored: [UInt8]) {
        var out = [UInt8](repeating: 0, count: Compressor.bound(raw.count))
        let (codec, count) = raw.withUnsafeBytes { raw in
            out.withUnsafeMutableBytes { room in
                if let level {
                    Compressor(level: level).compress(raw, into: room)
                } else {
                    LZ4.compress(raw, into: room)
                }
            }
        }
        return codec == .plain ? (.plain, raw) : (codec, Array(out[..<count]))
    }

    private static func decompress(_ codec: Codec, _ stored: [UInt8], count: Int) throws -> [UInt8] {
        var out = [UInt8](repeating: 0, count: count)
        try stored.withUnsafeBytes { stored in
            try out.withUnsafeMutableBytes { room in
                try Decompressor.withShared { decompressor throws(ChunkingError) in
                    try decompressor.decompress(codec, stored, into: room)
                }
            }
        }
        return out
    }

    static func text(_ count: Int, _ generator: inout Seeded) -> [UInt8] {
        var out: [UInt8] = []
        while out.count < count { out += Array("line \(generator.next() % 1000) of some log\n".utf8) }
        return Array(out[..<count])
    }

    @Test(arguments: [nil, -2, 1, 3])
    func chunksComeBack(level: Int32?) throws {
        var generator = Seeded("chunksComeBack")
        for count in [1, 16, 100, 65_536, 262_144, 1 << 20] {
            for raw in [
                generator.bytes(count), CodecTests.text(count, &generator), [UInt8](repeating: 0, count: count),
            ] {
                let (codec, stored) = CodecTests.compress(raw, level: level)
                #expect(try CodecTests.decompress(codec, stored, count: count) == raw)
                if codec != .plain { #expect(stored.count < count - count / 16) }
            }
        }
    }

    @Test func whatDoesNotSaveStaysPlain() {
        var generator = Seeded("whatDoesNotSaveStaysPlain")
        #expect(CodecTests.compress(generator.bytes(65_536), level: -1).codec == .plain)
        #expect(CodecTests.compress(CodecTests.text(65_536, &generator), level: -1).codec == .zstd)
        #expect(CodecTests.compress([], level: -1).codec == .plain)
        #expect(CodecTests.compress(generator.bytes(65_536), level: nil).codec == .plain)
        #expect(CodecTests.compress(CodecTests.text(65_536, &generator), level: nil).codec == .lz4)
        #expect(CodecTests.compress([], level: nil).codec == .plain)
    }

    @Test(arguments: [nil, -1])
    func wrongBytesAreRefused(level: Int32?) throws {
        var generator = Seeded("wrongBytesAreRefused")
        let raw = CodecTests.text(50_000, &generator)
        let (codec, stored) = CodecTests.compress(raw, level: level)
        #expect(throws: ChunkingError.self) { try CodecTests.decompress(codec, stored, count: raw.count - 1) }
        #expect(throws: ChunkingError.self) { try CodecTests.decompress(codec, stored, count: raw.count + 1) }
        #expect(throws: ChunkingError.self) { try CodecTests.decompress(codec, stored.dropLast(), count: raw.count) }
        #expect(throws: ChunkingError.self) { try CodecTests.decompress(.plain, raw, count: raw.count + 1) }
        for _ in 0..<500 {
            var mutated = stored
            mutated[Int.random(in: 0..<stored.count, using: &generator)] = UInt8(truncatingIfNeeded: generator.next())
            _ = try? CodecTests.decompress(codec, mutated, count: raw.count)
        }
    }

    /// FIPS 180-2, appendix B.
    @Test func digestsAreSHA256() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(Digest.sha256(of: Array("abc".utf8)).hex == known)
        #expect(Digest.sha256(of: []).hex.hasPrefix("e3b0c44298fc1c149afb"))
    }

    @Test func eachThreadHasItsOwnContext() async throws {
        var generator = Seeded("eachThreadHasItsOwnContext")
        let raw = CodecTests.text(100_000, &generator)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    try (0..<20).allSatisfy { _ in
                        var out = [UInt8](repeating: 0, count: Compressor.bound(raw.count))
                        let (codec, count) = raw.withUnsafeBytes { raw in
                            out.withUnsafeMutableBytes { LZ4.compress(raw, into: $0) }
                        }
                        return try CodecTests.decompress(codec, Array(out[..<count]), count: raw.count) == raw
                    }
                }
            }
            for try await isRight in group { #expect(isRight) }
        }
    }
}
