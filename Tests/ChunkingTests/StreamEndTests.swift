// SPDX-License-Identifier: Apache-2.0

import Chunking
import Foundation
import ProcessSupport
import Testing

/// Streams made by the tools that people use, whole and cut at many places (P1).
@Suite(.timeLimit(.minutes(5))) struct StreamEndTests {
    private static func check(_ bytes: [UInt8]) -> StreamEnd {
        StreamEnd.check(size: UInt64(bytes.count)) { offset, out in
            // Short reads, as a file may give them.
            let count = min(out.count, 70_000, bytes.count - min(bytes.count, Int(offset)))
            out.copyBytes(from: bytes[Int(offset)..<Int(offset) + count])
            return count
        }
    }

    private static func isTorn(_ end: StreamEnd) -> Bool {
        if case .torn = end { true } else { false }
    }

    /// A directory of files, some of them awkward, and what a shell command makes of it on its standard output.
    private static func made(by command: String) async throws -> [UInt8] {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("larder-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        let input = root.appendingPathComponent("in/" + String(repeating: "long-directory-name/", count: 8))
        try FileManager.default.createDirectory(at: input, withIntermediateDirectories: true)
        var generator = Seeded(command)
        for (name, count) in [
            ("empty", 0), ("a", 1), ("b", 511), ("c", 512), ("d", 100_000), (String(repeating: "n", count: 150), 3000),
        ] {
            try Data(generator.bytes(count)).write(to: input.appendingPathComponent(name))
        }
        try Data(CodecTests.text(300_000, &generator)).write(to: root.appendingPathComponent("in/log"))
        try FileManager.default.createSymbolicLink(
            atPath: input.path + "/link", withDestinationPath: String(repeating: "t", count: 180))
        try FileManager.default.linkItem(atPath: root.path + "/in/log", toPath: root.path + "/in/hard")
        let ended = try await Child.run("/bin/sh", ["-c", "{ \(command); } > out"], in: root.path)
        try #require(ended.code == 0, "\(command): \(ended.output)")
        return [UInt8](try Data(contentsOf: root.appendingPathComponent("out")))
    }

    @Test(arguments: [
        "tar -cf - in", "tar -c --format=ustar -f - in/log", "tar -c --format=pax -f - in",
        "tar -c --format=gnu -f - in",
        "tar -c --format=v7 -f - in/log", "tar -c --format=oldgnu -f - in",
        "truncate -s 3M in/sparse && printf x >> in/sparse && tar -cSf - in",
        "truncate -s 3M in/sparse && printf x >> in/sparse && tar -cS --format=pax -f - in",
        "for i in $(seq 60); do printf x | dd of=in/sparse bs=1 seek=${i}0000 conv=notrunc; done; tar -cS --format=gnu -f - in",
        "zip -qr - in",
        "(cd in && zip -q ../x.zip log && printf 'a comment' | zip -qz ../x.zip) > /dev/null; cat x.zip",
        "zip -q0r - in",
        "zstd -qc in/log", "zstd -q --ultra -22 -c in/log", "zstd -qc --no-check in/log", "cat in/log | zstd -qc",
        "zstd -qc in/log; printf '\\120\\052\\115\\030\\003\\000\\000\\000abc'; zstd -qc in/log",
        "head -c 1000000 /dev/zero | zstd -qc", "head -c 3000000 /dev/urandom | zstd -qc",
        "gzip -c in/log", "gzip -nc9 < in/log", "head -c 500000 /dev/urandom | gzip -1",
        "tar -czf - in",
    ])
    func onlyTheWholeStreamIsWhole(command: String) async throws {
        let bytes = try await StreamEndTests.made(by: command)
        #expect(StreamEndTests.check(bytes) == .whole)
        var generator = Seeded("cuts of \(command)")
        // Cut within its very head, a stream has no format that could be told.
        let first = min(600, bytes.count / 2)
        var places = (0..<60).map { _ in Int.random(in: first..<bytes.count, using: &generator) }
        places += [1, 2, 4, 5, 8, 9, 12, 20, 32].map { bytes.count - $0 }
        for place in places where place >= first {
            let end = StreamEndTests.check(Array(bytes[..<place]))
            // tar pads its end with more zeros than it needs; two members of one stream are each whole.
            if end == .whole, command.contains("tar -c"), !command.contains("z"),
                bytes[place...].allSatisfy({ $0 == 0 })
            {
                continue
            }
            if end == .whole, command.contains("; zstd") { continue }
            #expect(StreamEndTests.isTorn(end), "cut at \(place) of \(bytes.count): \(end)")
        }
    }

    @Test func membersOfGzipAreOneStream() async throws {
        let bytes = try await StreamEndTests.made(by: "gzip -c in/log")
        #expect(StreamEndTests.check(bytes + bytes) == .whole)
        #expect(StreamEndTests.isTorn(StreamEndTests.check(bytes + bytes.dropLast(3))))
        #expect(StreamEndTests.check(bytes + [UInt8](repeating: 0, count: 700)) == .whole)
    }

    @Test func emptyArchivesAreWhole() async throws {
        #expect(StreamEndTests.check([0x50, 0x4b, 5, 6] + [UInt8](repeating: 0, count: 18)) == .whole)
        #expect(StreamEndTests.check(try await StreamEndTests.made(by: "printf '' | zstd -qc")) == .whole)
    }

    @Test func aTarWithALargeMemberIsFollowed() throws {
        // A base-256 size, as for members of 8 GiB and more.
        var header = [UInt8](repeating: 0, count: 512)
        header.replaceSubrange(0..<1, with: [UInt8(ascii: "a")])
        header.replaceSubrange(124..<136, with: [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5])
        header[156] = UInt8(ascii: "0")
        header.replaceSubrange(148..<156, with: [UInt8](repeating: 32, count: 8))
        let sum = header.reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        header.replaceSubrange(
            148..<156, with: Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 32])
        let body: UInt64 = 2 << 32 + 5
        let whole = 512 + (body + 511) / 512 * 512 + 512
        let read: (UInt64, UnsafeMutableRawBufferPointer) -> Int = { offset, out in
            for (at, _) in out.enumerated() { out[at] = offset + UInt64(at) < 512 ? header[Int(offset) + at] : 0 }
            return out.count
        }
        #expect(StreamEnd.check(size: whole, read: read) == .whole)
        #expect(StreamEndTests.isTorn(StreamEnd.check(size: whole - 512, read: read)))
        #expect(StreamEndTests.isTorn(StreamEnd.check(size: body, read: read)))
    }

    @Test func otherBytesAreNotJudged() {
        var generator = Seeded("otherBytesAreNotJudged")
        #expect(StreamEndTests.check([]) == .unknown)
        #expect(StreamEndTests.check(Array("hello".utf8)) == .unknown)
        #expect(StreamEndTests.check([UInt8](repeating: 0, count: 10_240)) == .unknown)
        for _ in 0..<200 { #expect(StreamEndTests.check(generator.bytes(2000)) == .unknown) }
    }

    /// Whatever the bytes, the walk ends and stays within them.
    @Test func mutatedStreamsAreFollowedToSomeEnd() async throws {
        var generator = Seeded("mutatedStreams")
        for command in [
            "tar -cf - in", "tar -c --format=pax -f - in", "zip -qr - in", "zstd -qc in/log", "gzip -c in/log",
        ] {
            let bytes = try await StreamEndTests.made(by: command)
            for _ in 0..<100 {
                var mutated = bytes
                for _ in 0..<8 {
                    mutated[Int.random(in: 4..<bytes.count, using: &generator)] = UInt8(
                        truncatingIfNeeded: generator.next())
                }
                _ = StreamEndTests.check(mutated)
            }
        }
    }
}
