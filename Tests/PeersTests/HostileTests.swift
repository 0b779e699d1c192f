// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import Glibc
import Peers
import Storage
import Testing

@Suite("One hostile message leaves an agent as it was", .timeLimit(.minutes(5)))
struct HostileTests {
    static let stranger = AgentID(high: 5, low: 6)

    struct Message: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The message's bytes, told the agent that gets them.
        let bytes: @Sendable (AgentID) throws -> [UInt8]
        /// Whether it is refused as a whole.
        var isRefused = true
    }

    /// Spans, then publications, as a push has them.
    static func push(_ spans: [(AgentID, UInt64, UInt64)], _ publications: [Publication] = []) -> [UInt8] {
        var out = ByteWriter()
        out.fixed(UInt8(1))
        out.fixed(UInt32(0))
        out.count(spans.count)
        for (agent, after, upTo) in spans {
            agent.encode(into: &out)
            out.count(after)
            out.count(upTo)
        }
        out.count(publications.count)
        for publication in publications { publication.encode(into: &out) }
        return out.bytes
    }

    static func publication(_ key: String, time: UInt64, modified: Int64 = 0) throws -> Publication {
        let version = Version(time: HybridTime(rawValue: time), agent: stranger)
        let entry = Entry(
            key: try Key(key), version: version, body: .inline([6]), metadata: Metadata(modified: modified))
        return Publication(agent: stranger, number: 1, change: .entry(entry))
    }

    static var messages: [Message] {
        [
            Message(testDescription: "numbers of the agent itself") { push([($0, 0, 1 << 40)]) },
            Message(testDescription: "numbers that skip far ahead") { _ in push([(stranger, 0, 1 << 55)]) },
            Message(testDescription: "numbers near the end of numbers") { _ in push([(stranger, 0, .max)]) },
            Message(testDescription: "a span that ends before it begins") { _ in push([(stranger, 9, 1)]) },
            Message(testDescription: "an absurd count of spans") { _ in
                var out = ByteWriter()
                out.fixed(UInt8(1))
                out.fixed(UInt32(0))
                out.count(UInt64(1) << 60)
                return out.bytes
            },
            Message(testDescription: "an absurd count of publications") { _ in
                Array(push([(stranger, 0, 1)]).dropLast()) + [0xff, 0xff, 0xff, 0xff, 0x7f]
            },
            Message(testDescription: "the end of a holding of the agent itself, outside of any span") { agent in
                let holding = Publication.Change.holding(manifest: Digest.sha256(of: [1]), held: false)
                return push([], [Publication(agent: agent, number: 1 << 40, change: holding)])
            },
            Message(testDescription: "a holding whose number skips far ahead, outside of any span") { _ in
                let holding = Publication.Change.holding(manifest: Digest.sha256(of: [1]), held: true)
                return push([], [Publication(agent: stranger, number: 1 << 55, change: holding)])
            },
            Message(testDescription: "garbage") { _ in [UInt8](repeating: 0xa5, count: 4000) },
            Message(
                testDescription: "a version at the end of time",
                bytes: { _ in push([(stranger, 0, 1)], [try publication("ci/x", time: .max)]) }, isRefused: false),
            Message(
                testDescription: "a file from before the calendar",
                bytes: { _ in push([(stranger, 0, 1)], [try publication("ci/old", time: 1, modified: .min)]) },
                isRefused: false),
        ]
    }

    @Test("A push that cannot be is refused", arguments: messages)
    func pushes(message: Message) async throws {
        let agent = try Agent("agent") { _ in }
        try await running([agent]) {
            let entry = try await agent.publish("ci/x")
            let raw = try message.bytes(agent.service.agent)
            var body = ByteWriter()
            body.fixed(UInt8(0))
            body.fixed(UInt32(raw.count))
            body.raw(raw)
            let status = try await post("/v1/push", body.bytes, to: try await agent.service.port())
            // 501: what calls itself a later format.
            #expect((message.isRefused ? [400, 501] : [200]).contains(status))
            #expect(try agent.directory.lookup(entry.key) == entry)
            let next = try await agent.publish("ci/y")
            #expect(next.version.time.milliseconds < entry.version.time.milliseconds + 3_600_000)
            #expect(try agent.directory.lookup(next.key) == next)
            let own = try agent.store.catalog.vector()[agent.service.agent] ?? 0
            #expect(own <= Catalog.numberGap + 2)
            #expect(agent.directory.absenceIsCertain())
        }
    }

    /// The status with which an agent answers a stranger of its site.
    private func post(_ path: String, _ body: [UInt8], to port: Int) async throws -> Int {
        let head = """
            POST \(path) HTTP/1.1\r\nhost: x\r\nx-larder-site: basement\r\nx-larder-agent: \(HostileTests.stranger.hex)\r
            content-length: \(body.count)\r\nconnection: close\r\n\r\n
            """
        let request = Array(head.utf8) + body
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try HostileTests.exchange(request, port) })
            }
        }
    }

    private static func exchange(_ request: [UInt8], _ port: Int) throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { Glibc.close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        address.sin_port = in_port_t(port).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0, send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw NeverHappened()
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            answer += buffer[..<count]
        }
        let words = String(decoding: answer, as: UTF8.self).split(separator: " ")
        guard words.count > 1, let code = Int(words[1]) else { throw NeverHappened() }
        return code
    }
}
