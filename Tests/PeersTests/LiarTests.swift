// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Glibc
import Peers
import Storage
import Testing

/// A server that gives every caller the same bytes and hangs up.
final class Liar: Sendable {
    let port: Int
    private let descriptor: Int32

    init(answer: [UInt8]) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length) | listen(descriptor, 16) | getsockname(descriptor, raw, &length)
            }
        }
        guard status == 0 else { throw NeverHappened() }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread {
            while true {
                let caller = accept(descriptor, nil, nil)
                guard caller >= 0 else { return }
                // All of the request: who is answered before it has asked may take that for a broken connection.
                Liar.readRequest(caller)
                var request = [UInt8](repeating: 0, count: 65_536)
                _ = answer.withUnsafeBytes { send(caller, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                Glibc.shutdown(caller, Int32(SHUT_WR))
                while recv(caller, &request, request.count, 0) > 0 {}
                Glibc.close(caller)
            }
        }
    }

    deinit {
        Glibc.shutdown(descriptor, Int32(SHUT_RDWR))
        Glibc.close(descriptor)
    }

    private static func readRequest(_ caller: Int32) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(caller, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            bytes += buffer[..<count]
            guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { continue }
            let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased()
            let length = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
            let body = length.flatMap { Int($0.dropFirst("content-length:".count).trimmingPrefix(" ")) } ?? 0
            if bytes.count >= end.upperBound + body { return }
        }
    }

    /// An answer with a body, as HTTP.
    static func http(_ body: [UInt8]) -> [UInt8] {
        Array("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: \(body.count)\r\n\r\n".utf8) + body
    }
}

@Suite("Garbage, truncated, oversized and wrong answers are refused", .timeLimit(.minutes(5)))
struct LiarTests {
    static let wanted = [UInt8]("the right bytes".utf8)
    static let digest = Digest.sha256(of: wanted)

    static func stored(_ digest: Digest, _ payload: [UInt8], _ codec: Codec = .plain, count: Int? = nil) -> [UInt8] {
        FrameEncoder().encode(
            .stored(
                StoredFrame(
                    digest: digest,
                    kind: .data,
                    codec: codec,
                    rawLength: count ?? payload.count,
                    payload: payload
                )
            )
        )
    }

    struct Lie: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let answer: [UInt8]
        let code: PeersError.Code
    }

    static var lies: [Lie] {
        let end = FrameEncoder().encode(.end)
        let right = stored(digest, wanted)
        let other = Digest.sha256(of: [1])
        let batch = BatchFrame(parts: [.init(digest: digest, kind: .data, length: 15)], codec: .zstd, payload: [1, 2])
        return [
            Lie(testDescription: "no HTTP", answer: Array("garbage\r\n\r\n".utf8), code: .lying),
            Lie(testDescription: "garbage", answer: Liar.http([9, 9, 9, 9, 9, 9, 9]), code: .lying),
            Lie(testDescription: "truncated body", answer: Liar.http(Array(right.dropLast(3))), code: .unavailable),
            Lie(testDescription: "no end", answer: Liar.http(right), code: .unavailable),
            Lie(testDescription: "oversized frame", answer: Liar.http([1, 255, 255, 255, 255]), code: .lying),
            Lie(testDescription: "wrong bytes", answer: Liar.http(stored(digest, [1, 2, 3]) + end), code: .lying),
            Lie(testDescription: "not asked for", answer: Liar.http(stored(other, [1]) + end), code: .lying),
            Lie(testDescription: "sent twice", answer: Liar.http(right + right + end), code: .lying),
            Lie(testDescription: "left out", answer: Liar.http(end), code: .lying),
            Lie(testDescription: "after the end", answer: Liar.http(right + end + end), code: .lying),
            Lie(
                testDescription: "bad zstd",
                answer: Liar.http(stored(digest, [1, 2, 3], .zstd, count: 15) + end),
                code: .lying
            ),
            Lie(
                testDescription: "length over the limit",
                answer: Liar.http(stored(digest, [1, 2, 3], .zstd, count: 1 << 30) + end),
                code: .lying
            ),
            Lie(
                testDescription: "bad batch",
                answer: Liar.http(FrameEncoder().encode(.batch(batch)) + end),
                code: .lying
            ),
            Lie(
                testDescription: "broken off",
                answer: Array("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n".utf8) + right,
                code: .unavailable
            ),
        ]
    }

    @Test("A lie ends the request, and nothing false was received", arguments: lies)
    func liesAreRefused(lie: Lie) async throws {
        let liar = try Liar(answer: lie.answer)
        let agent = try Agent("agent") { _ in }
        try await running([agent]) {
            let source = Source(
                agent: AgentID(high: 1, low: 2),
                name: "liar",
                site: "basement",
                address: PeerAddress(host: "127.0.0.1", port: liar.port),
                kind: .holder,
                level: .store
            )
            let request = ChunkRequest(
                manifest: Digest.sha256(of: [0]),
                chunks: [LiarTests.digest],
                level: .store,
                priority: .reader
            )
            let error = await #expect(throws: PeersError.self) {
                _ = try await agent.service.fetch(request, from: source) { chunk in
                    #expect(chunk.raw == LiarTests.wanted)
                }
            }
            #expect(error?.code == lie.code)
        }
    }

    @Test("An agent that calls a liar stays well")
    func heartbeatOfLiar() async throws {
        let liar = try Liar(answer: Liar.http([1, 2, 3]))
        let agent = try Agent("agent") { $0.peers = [PeerAddress(host: "127.0.0.1", port: liar.port)] }
        try await running([agent]) {
            try await eventually { agent.directory.absenceIsCertain() }
            #expect(agent.service.members().allSatisfy { $0.agent == nil })
            try await agent.publish("ci/x")
        }
    }
}
