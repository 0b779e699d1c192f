// SPDX-License-Identifier: Apache-2.0

import Content
import Control
import NIOCore
import Objects
import Testing

/// A stream of pieces made on demand, so that no test holds an object in memory.
struct Pieces: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    let byteCount: Int
    var pieceByteCount = 300_000
    /// Throws after so many bytes.
    var failsAfter: Int?

    struct Broken: Error {}

    static func byte(at offset: Int) -> UInt8 { UInt8(truncatingIfNeeded: (offset &* 2_654_435_761) >> 13) }

    func makeAsyncIterator() -> Iterator { Iterator(pieces: self) }

    struct Iterator: AsyncIteratorProtocol {
        let pieces: Pieces
        var at = 0

        mutating func next() async throws -> ByteBuffer? {
            if let limit = pieces.failsAfter, at >= limit { throw Broken() }
            guard at < pieces.byteCount else { return nil }
            let count = Swift.min(pieces.pieceByteCount, pieces.byteCount - at)
            defer { at += count }
            return ByteBuffer(bytes: (at..<at + count).map(Pieces.byte(at:)))
        }
    }
}

/// Counts the bytes that come and compares them with those of ``Pieces``.
private func receive(_ body: ObjectBody) async throws -> (count: Int, isRight: Bool) {
    var count = 0
    var isRight = true
    try await body.forEach { piece in
        for byte in piece.readableBytesView {
            if byte != Pieces.byte(at: count) { isRight = false }
            count += 1
        }
        return true
    }
    return (count, isRight)
}

private func code(_ body: () async throws -> Void) async -> ControlError.Code? {
    do {
        try await body()
        return nil
    } catch let error as ControlError {
        return error.code
    } catch {
        Issue.record("another error: \(error)")
        return nil
    }
}

@Suite("Objects over the control socket", .timeLimit(.minutes(5)))
struct ObjectRouteTests {
    @Test("come back as they were put, whatever their size", arguments: [0, 1, 4096, 4097, 1_048_576, 9_000_001])
    func roundTrip(byteCount: Int) async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.volume) { client in
                let put = try await client.put(
                    "ci/dir/über mich.bin",
                    bytes: Pieces(byteCount: byteCount),
                    length: UInt64(byteCount),
                    mode: 0o755,
                    modified: nil,
                    isDurable: byteCount == 4097
                )
                #expect(put.bytes == UInt64(byteCount) && put.entry.size == UInt64(byteCount))
                #expect(put.entry.mode == "755" && put.entry.key == "ci/dir/über mich.bin" && !put.entry.torn)
                let body = try await client.get("ci/dir/über mich.bin")
                #expect(body.size == UInt64(byteCount))
                let (count, isRight) = try await receive(body)
                #expect(count == byteCount && isRight)
                let operation = try await client.operation(body.operation)
                #expect(operation.done && operation.error == nil)
                #expect(operation.localBytes == UInt64(byteCount) && operation.fetchedBytes == 0)
            }
        }
    }

    @Test("may be put without saying how long they are")
    func chunked() async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.admin) { client in
                let bytes = Pieces(byteCount: 3_000_000)
                let put = try await client.put(
                    "tools/a", bytes: bytes, length: nil, mode: nil, modified: Timestamp(nanoseconds: 5_000_000),
                    isDurable: false
                )
                #expect(put.entry.size == 3_000_000 && put.entry.modified == "1970-01-01T00:00:00.005Z")
                #expect(try await receive(try await client.get("tools/a")).isRight)
            }
        }
    }

    @Test("replace what was there only when they are whole")
    func replacement() async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.volume) { client in
                _ = try await client.put(
                    "ci/a", bytes: Pieces(byteCount: 10_000), length: nil, mode: nil, modified: nil, isDurable: false
                )
                let before = try await client.entry("ci/a")
                let broken = Pieces(byteCount: 5_000_000, failsAfter: 2_000_000)
                await #expect(throws: (any Error).self) {
                    try await client.put("ci/a", bytes: broken, length: nil, mode: nil, modified: nil, isDurable: false)
                }
                #expect(try await client.entry("ci/a") == before)
            }
        }
    }

    @Test(
        "leave nothing where the sender goes away",
        arguments: [
            "PUT /v1/objects/ci/cut HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nonly this",
            "PUT /v1/objects/ci/cut HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "PUT /v1/objects/ci/cut HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        ]
    )
    func cut(request: String) async throws {
        try await Node.with { node in
            for isHalf in [false, true] {
                let connection = try RawConnection(node.volume)
                connection.send(request)
                if isHalf {
                    connection.closeSending()
                    let answer = await connection.receiveAll()
                    #expect(!answer.hasPrefix("HTTP/1.1 20"))
                }
                connection.close()
            }
            // A request that is whole is served after them on the same socket, so theirs were seen to end.
            try await ControlClient.with(socket: node.volume) { client in
                _ = try await client.put(
                    "ci/whole", bytes: Pieces(byteCount: 5), length: 5, mode: nil, modified: nil, isDurable: false
                )
                let keys = try await client.entries(prefix: "ci", isRecursive: true, after: nil).entries.map(\.key)
                #expect(keys == ["ci/whole"])
            }
        }
    }

    @Test("are refused at once where they cannot fit")
    func tooLarge() async throws {
        try await Node.with(quota: 64 << 20, objectByteCount: 32 << 20) { node in
            try await ControlClient.with(socket: node.volume) { client in
                let over = await code {
                    _ = try await client.put(
                        "ci/a", bytes: Pieces(byteCount: 40 << 20), length: 40 << 20, mode: nil, modified: nil,
                        isDurable: false
                    )
                }
                #expect(over == .tooLarge)
                #expect(await code { _ = try await client.entry("ci/a") } == .notFound)
            }
        }
    }

    @Test("may be read in part")
    func ranges() async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.volume) { client in
                _ = try await client.put(
                    "ci/a", bytes: Pieces(byteCount: 10_000), length: nil, mode: nil, modified: nil, isDurable: false
                )
            }
            let cases = [
                ("bytes=0-9", "206", "bytes 0-9/10000", 10), ("bytes=9990-", "206", "bytes 9990-9999/10000", 10),
                ("bytes=-3", "206", "bytes 9997-9999/10000", 3), ("bytes=0-99999", "206", "bytes 0-9999/10000", 10_000),
                ("bytes=5-1", "200", "", 10_000), ("lines=1-2", "200", "", 10_000), ("bytes=10000-", "416", "", 0),
            ]
            for (range, status, contentRange, count) in cases {
                let connection = try RawConnection(node.volume)
                connection.send(
                    "HEAD /v1/objects/ci/a HTTP/1.1\r\nhost: x\r\nrange: \(range)\r\nconnection: close\r\n\r\n")
                let answer = await connection.receiveAll().lowercased()
                connection.close()
                #expect(answer.hasPrefix("http/1.1 \(status)"), "\(range): \(answer)")
                if !contentRange.isEmpty { #expect(answer.contains("content-range: \(contentRange)\r\n"), "\(range)") }
                if count > 0 { #expect(answer.contains("content-length: \(count)\r\n"), "\(range): \(answer)") }
            }
        }
    }

    @Test("are found through symbolic links of their namespace, and only these")
    func links() async throws {
        try await Node.with { node in
            let metadata = Metadata(modified: 0)
            _ = try await node.cache.makeSymlink(try Key("ci/x/latest"), target: "../app/./1.tar", metadata: metadata)
            _ = try await node.cache.makeSymlink(try Key("ci/out"), target: "../tools/a", metadata: metadata)
            _ = try await node.cache.makeSymlink(try Key("ci/loop"), target: "loop", metadata: metadata)
            try await ControlClient.with(socket: node.volume) { client in
                _ = try await client.put(
                    "ci/app/1.tar", bytes: Pieces(byteCount: 100), length: nil, mode: nil, modified: nil,
                    isDurable: false
                )
                #expect(try await receive(try await client.get("ci/x/latest")).count == 100)
                #expect(await code { _ = try await client.get("ci/out") } == .unsupported)
                #expect(await code { _ = try await client.get("ci/loop") } == .unsupported)
                #expect(await code { _ = try await client.get("ci/app") } == .isDirectory)
            }
        }
    }

    @Test("are gone after their removal")
    func removal() async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.volume) { client in
                _ = try await client.put(
                    "ci/a", bytes: Pieces(byteCount: 100), length: nil, mode: nil, modified: nil, isDurable: false
                )
                try await client.remove("ci/a")
                #expect(await code { _ = try await client.get("ci/a") } == .notFound)
                #expect(await code { try await client.remove("ci/a") } == .notFound)
            }
        }
    }
}
