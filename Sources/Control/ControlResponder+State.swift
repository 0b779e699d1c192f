// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Hummingbird
import NIOCore
import Objects

extension ControlResponder {
    /// Announces keys. A bad one refuses all of them: a typing error in a pipeline has to be seen where it is.
    func hint(_ request: Request) async throws -> HintAnswerMessage {
        let message: HintMessage = try await decoded(request)
        guard !message.keys.isEmpty, message.keys.count <= ControlLimits.hintKeyCount else {
            throw ControlError(.badRequest, "a hint names 1 to \(ControlLimits.hintKeyCount) keys")
        }
        var keys: [Key] = []
        for text in message.keys {
            let key = try Key(text)
            try scope.checkReading(key.namespace)
            keys.append(key)
        }
        guard (0...9).contains(message.priority ?? 5) else {
            throw ControlError(.badRequest, "a priority is 0 to 9 and not \(message.priority ?? 5)")
        }
        let deadline = message.deadlineSeconds ?? 0
        guard deadline >= 0, deadline <= ControlLimits.waitSeconds else {
            throw ControlError(.badRequest, "a deadline is 0 to \(Int(ControlLimits.waitSeconds)) seconds from now")
        }
        let hint = HintRequest(
            keys: keys,
            sites: message.sites ?? [],
            deadline: message.deadlineSeconds.map { .milliseconds(Int64($0 * 1000)) },
            priority: message.priority ?? 5
        )
        let reports = await cache.hint(hint)
        return HintAnswerMessage(
            answers: reports.map { report in
                HintAnswerMessage.Answer(
                    key: report.key.text,
                    site: report.site,
                    state: report.state.rawValue,
                    missingBytes: report.missing,
                    etaSeconds: report.eta,
                    message: report.message
                )
            }
        )
    }

    /// Waits until a key names something; ends early where the client goes away.
    func wait(_ key: Key, _ query: Query, _ request: Request) async throws -> Response {
        let limit = try query.seconds("timeout", atMost: ControlLimits.waitSeconds) ?? ControlLimits.waitDefault
        let entry = try await request.body.consumeWithCancellationOnInboundClose { _ in
            try await cache.waitForEntry(key, limit: limit)
        }
        guard let entry else {
            throw ControlError(.timedOut, "\(key) was not published within \(limit / .seconds(1)) s")
        }
        return try success(EntryMessage(entry))
    }

    /// The pinned keys that the socket may see.
    func pins() throws -> PinsMessage {
        let keys = try cache.status().pins.filter { key in
            scope.namespace.map { $0.hasSameBytes(as: key.namespace) } ?? true
        }
        return PinsMessage(keys: keys.map(\.text).sorted())
    }

    /// How a read went; only to those who could have made it.
    func operation(_ id: String) throws(ControlError) -> OperationMessage {
        guard let operation = operations.operation(id) else {
            throw ControlError(.notFound, "operation \(id) is not remembered")
        }
        try scope.checkReading(operation.key.prefix { $0 != "/" })
        return operation
    }

    func status() async throws -> StatusMessage {
        var message = try await facts.status()
        guard let namespace = scope.namespace else { return message }
        // A job sees that its volume serves and how full the store is, and nothing of other tenants or the network.
        message.volumes.removeAll { $0.namespace != namespace }
        message.members = []
        message.traffic = nil
        return message
    }

    func status(of key: Key) async throws -> KeyStatusMessage {
        let entry = try await entry(key)
        let status = try cache.status(of: key)
        return KeyStatusMessage(
            entry: EntryMessage(entry),
            place: status.place.rawValue,
            replication: status.replication?.rawValue,
            missingBytes: status.missing,
            holders: status.holders.map { facts.name($0) ?? $0.hex }.sorted(),
            isPinned: status.pinned,
            isSettling: status.settling,
            isHinted: status.hinted
        )
    }

    private func decoded<T: Decodable>(_ request: Request) async throws -> T {
        let body: ByteBuffer
        do {
            body = try await request.body.collect(upTo: ControlLimits.bodyByteCount)
        } catch is NIOTooManyBytesError {
            throw ControlError(.badRequest, "the body has more than \(ControlLimits.bodyByteCount) bytes")
        }
        do {
            return try JSONDecoder().decode(T.self, from: Data(body.readableBytesView))
        } catch {
            throw ControlError(.badRequest, "the body is not the JSON that belongs here: \(error)")
        }
    }
}
