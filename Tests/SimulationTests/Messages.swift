// SPDX-License-Identifier: Apache-2.0

import Content
import Peers

/// What one agent asks another.
enum Request {
    case heartbeat(Heartbeat)
    case push(PublicationMessage)
    case publications([AgentID: UInt64])
}

enum Answer {
    case heartbeat(Heartbeat)
    case taken
    case publications(PublicationMessage)
}

enum Outcome {
    case answer(Answer)
    /// The time-out passed.
    case silence
    /// Nobody listens.
    case refusal
}

extension Outcome {
    var isRefusal: Bool { if case .refusal = self { true } else { false } }
}

extension Request {
    /// The request as the other side decodes it.
    func coded(_ limits: PeersConfiguration.Limits) throws -> Request {
        switch self {
        case .heartbeat(let heartbeat): .heartbeat(try Heartbeat(decoding: heartbeat.encoded(), limits: limits))
        case .push(let message): .push(try PublicationMessage(decoding: message.encoded(), limits: limits))
        case .publications: self
        }
    }
}

extension Answer {
    /// The answer as the asker decodes it.
    func coded(_ limits: PeersConfiguration.Limits) throws -> Answer {
        switch self {
        case .heartbeat(let heartbeat): .heartbeat(try Heartbeat(decoding: heartbeat.encoded(), limits: limits))
        case .publications(let message):
            .publications(try PublicationMessage(decoding: message.encoded(), limits: limits))
        case .taken: self
        }
    }
}
