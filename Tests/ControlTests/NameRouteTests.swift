// SPDX-License-Identifier: Apache-2.0

import Content
import Control
import Foundation
import NIOCore
import Testing

@Suite("Names over the control socket", .timeLimit(.minutes(5)))
struct NameRouteTests {
    private static func refusal(_ body: () async throws -> Void) async -> ControlError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? ControlError
        }
    }

    private static func fill(_ client: ControlClient, _ keys: [String]) async throws {
        for key in keys {
            _ = try await client.put(
                key, bytes: Pieces(byteCount: 10), length: 10, mode: nil, modified: nil, isDurable: false
            )
        }
    }

    @Test(
        "are refused with the key rules' own words",
        arguments: [
            "ci", "ci/", "ci//a", "ci/../a", "ci/./a", "/ci/a", "ci/a\u{0}b",
            "ci/" + String(repeating: "a", count: 256),
        ]
    )
    func badKeys(text: String) async throws {
        let expected = #expect(throws: ContentError.self) { try Key(text) }
        try await Node.with { node in
            try await ControlClient.with(socket: node.admin) { client in
                let put = await Self.refusal {
                    _ = try await client.put(
                        text, bytes: Pieces(byteCount: 1), length: 1, mode: nil, modified: nil, isDurable: false
                    )
                }
                let hint = await Self.refusal { _ = try await client.hint(HintMessage(keys: ["ci/good", text])) }
                for refusal in [put, hint, await Self.refusal { _ = try await client.get(text) }] {
                    #expect(refusal?.message == expected?.message)
                    #expect(refusal?.code == .invalidKey || refusal?.code == .keyTooLong)
                }
            }
        }
    }

    @Test("that are not UTF-8 or badly encoded are refused with 400", arguments: ["%ff", "%2", "%zz"])
    func badEncoding(text: String) async throws {
        try await Node.with { node in
            let connection = try RawConnection(node.admin)
            connection.send("GET /v1/objects/ci/\(text) HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            let answer = await connection.receiveAll()
            connection.close()
            #expect(answer.hasPrefix("HTTP/1.1 400") && answer.contains("\"code\":\"invalid-key\""), "\(answer)")
        }
    }

    @Test("are listed by level, by beginning and all")
    func listing() async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.admin) { client in
                try await Self.fill(
                    client, ["ci/a", "ci/app/1.tar", "ci/app/10.tar", "ci/app/2.tar", "ci/b/c/d", "tools/x"])
                func list(_ prefix: String, _ isRecursive: Bool = false) async throws -> [String] {
                    try await client.entries(prefix: prefix, isRecursive: isRecursive, after: nil).entries
                        .map { $0.kind == .directory ? "\($0.key)/" : $0.key }
                }
                #expect(try await list("") == ["ci/", "tools/"])
                #expect(try await list("ci") == ["ci/a", "ci/app/", "ci/b/"])
                #expect(try await list("ci/") == ["ci/a", "ci/app/", "ci/b/"])
                #expect(try await list("ci/a") == ["ci/a", "ci/app/"])
                #expect(try await list("ci/app") == ["ci/app/1.tar", "ci/app/10.tar", "ci/app/2.tar"])
                #expect(try await list("ci/app/1") == ["ci/app/1.tar", "ci/app/10.tar"])
                #expect(try await list("ci/none") == [])
                #expect(try await list("ci/b", true) == ["ci/b/c/d"])
                #expect(try await list("ci", true).count == 5)
            }
        }
    }

    @Test("come in pages that together are all")
    func pages() async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.volume) { client in
                let keys = (0..<7).map { "ci/d/\($0)" }
                try await Self.fill(client, keys)
            }
            for isRecursive in [false, true] {
                var found: [String] = []
                var after = ""
                repeat {
                    let connection = try RawConnection(node.volume)
                    connection.send(
                        "GET /v1/entries?prefix=ci/d&limit=3&recursive=\(isRecursive)&after=\(after) HTTP/1.1\r\n"
                            + "host: x\r\nconnection: close\r\n\r\n"
                    )
                    let answer = await connection.receiveAll()
                    connection.close()
                    found += answer.split(separator: "\"key\":\"").dropFirst().map { String($0.prefix { $0 != "\"" }) }
                    after =
                        answer.split(separator: "\"next\":\"").dropFirst().first.map {
                            String($0.prefix { $0 != "\"" })
                        } ?? ""
                } while !after.isEmpty
                #expect(found == (0..<7).map { "ci/d/\($0)" })
            }
        }
    }

    @Test("are kept apart: a volume's socket serves its namespace with its access")
    func scope() async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.admin) { try await Self.fill($0, ["ci/a", "tools/a"]) }
            try await ControlClient.with(socket: node.volume) { client in
                #expect(await Self.refusal { _ = try await client.get("tools/a") }?.code == .forbidden)
                #expect(await Self.refusal { try await client.remove("tools/a") }?.code == .forbidden)
                #expect(
                    await Self.refusal { _ = try await client.hint(HintMessage(keys: ["tools/a"])) }?.code == .forbidden
                )
                #expect(await Self.refusal { _ = try await client.status(of: "tools/a") }?.code == .forbidden)
                #expect(await Self.refusal { _ = try await client.wait("tools/b", atMost: .zero) }?.code == .forbidden)
                let list = await Self.refusal {
                    _ = try await client.entries(prefix: "tools", isRecursive: true, after: nil)
                }
                #expect(list?.code == .forbidden)
                let keys = try await client.entries(prefix: "", isRecursive: true, after: nil).entries.map(\.key)
                #expect(keys == ["ci/a"])
                #expect(try await client.status().volumes.map(\.name) == ["ci"])
            }
            try await ControlClient.with(socket: node.readOnly) { client in
                _ = try await client.get("ci/a").forEach { _ in true }
                #expect(await Self.refusal { try await client.remove("ci/a") }?.code == .readOnly)
                #expect(await Self.refusal { try await Self.fill(client, ["ci/b"]) }?.code == .readOnly)
                #expect(await Self.refusal { try await client.pin("ci/a") }?.code == .readOnly)
            }
        }
    }

    @Test("can be waited for")
    func waiting() async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.volume) { client in
                let missing = await Self.refusal { _ = try await client.wait("ci/late", atMost: .milliseconds(20)) }
                #expect(missing?.code == .timedOut)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        let entry = try await client.wait("ci/late", atMost: .seconds(60))
                        #expect(entry.size == 10)
                    }
                    try await Self.fill(client, ["ci/late"])
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test("can be pinned and asked about")
    func pins() async throws {
        try await Node.with { node in
            try await ControlClient.with(socket: node.volume) { client in
                try await Self.fill(client, ["ci/a"])
                #expect(try await client.status(of: "ci/a").isPinned == false)
                try await client.pin("ci/a")
                #expect(try await client.pins().keys == ["ci/a"])
                let status = try await client.status(of: "ci/a")
                #expect(status.isPinned && status.place == "local" && status.missingBytes == 0)
                try await client.unpin("ci/a")
                #expect(try await client.pins().keys == [])
                #expect(await Self.refusal { try await client.unpin("ci/a") }?.code == .notFound)
            }
        }
    }
}

@Suite("A control socket", .timeLimit(.minutes(5)))
struct SocketTests {
    @Test("has the mode that decides who may connect")
    func modes() async throws {
        try await Node.with { node in
            for (path, mode) in [(node.admin, 0o600), (node.volume, 0o666), (node.readOnly, 0o666)]
                as [(String, UInt32)]
            {
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                #expect((attributes[.posixPermissions] as? NSNumber)?.uint32Value == mode, "\(path)")
            }
        }
    }

    @Test("that another agent serves is not taken away from it")
    func taken() async throws {
        try await Node.with { node in
            #expect(ControlServer.isServed(node.admin))
        }
    }

    @Test("that is missing is named, and how to start an agent")
    func missing() async throws {
        let error = await #expect(throws: ControlError.self) {
            try await ControlClient.with(socket: "/nonexistent/agent.sock") { try await $0.status() }
        }
        #expect(error?.code == .unreachable)
        #expect(error?.message.contains("'/nonexistent/agent.sock'") == true)
        #expect(error?.message.contains("larder agent --config") == true)
    }

    @Test(
        "answers what it does not understand with an error that says so",
        arguments: [
            ("GET /v2/objects/ci/a", "404", "no-route"), ("POST /v1/objects/ci/a", "404", "no-route"),
            ("GET /v1/objects/ci/a?x=1", "400", "bad-request"), ("GET /v1/entries?limit=0", "400", "bad-request"),
            ("GET /v1/entries?limit=1&limit=2", "400", "bad-request"),
            ("GET /v1/entries?recursive=maybe", "400", "bad-request"),
            ("GET /v1/wait/ci/a?timeout=-1", "400", "bad-request"),
            ("PUT /v1/objects/ci/a?mode=9", "400", "bad-request"),
            ("GET /v1/operations/none", "404", "not-found"), ("POST /v1/hints", "400", "bad-request"),
        ]
    )
    func nonsense(line: String, status: String, code: String) async throws {
        try await Node.with { node in
            let connection = try RawConnection(node.admin)
            connection.send("\(line) HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]")
            let answer = await connection.receiveAll()
            connection.close()
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
            #expect(answer.contains("\"code\":\"\(code)\""), "\(answer)")
        }
    }

    @Test("tells checks of what it serves, and no others")
    func checks() async throws {
        try await Node.with { node in
            for (socket, name) in [(node.volume, "ci"), (node.admin, "everything")] {
                let checks = try await ControlClient.with(socket: socket) { try await $0.checks().checks }
                #expect(checks.first?.name == name)
            }
        }
    }
}
