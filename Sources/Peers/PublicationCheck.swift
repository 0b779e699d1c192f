// SPDX-License-Identifier: Apache-2.0

import Content
import Storage

/// What a receiver takes of the publications that an agent hands it (P10), and what an agent may be handed.
///
/// The rule: an entry is taken from an agent whose certificate allows that agent to publish in the entry's namespace,
/// be it the publisher itself or one that hands it on. The publisher's own certificate is checked by whoever has the
/// entry from it first, so what an agent must not publish does not get past its neighbours; and what a gateway hands on
/// for its site is bounded by the gateway's own certificate.
///
/// That an agent holds an object or no longer does is that agent's own business. Where nobody holds an object its keys
/// go, so what is said of others' holdings is taken only from who could remove those keys itself, and from gateways.
struct PublicationCheck: Sendable {
    /// Who hands the publications over.
    let sender: AgentID
    let rights: Rights
    /// A gateway vouches for what lies behind it, so what it leaves out is not waited for.
    let isGateway: Bool
    /// The receiver's.
    let own: Rights

    /// Whether all that the receiver may read may be read by the sender too. Of what others published, a sender that
    /// sees less cannot say that it has everything.
    var seesEnough: Bool { isGateway || rights.readsAll(of: own) }

    /// What is taken, and the namespaces of what is not.
    ///
    /// A span tells that everything up to its end is here. What the sender must not publish itself will never be taken:
    /// it is passed over. Of what it hands on for others the span is given up, so that somebody else is asked.
    func taken(of message: PublicationMessage) -> (message: PublicationMessage, refused: Set<String>) {
        var taken = message
        var refused: Set<String> = []
        taken.publications = message.publications.filter { publication in
            if let entry = publication.entry {
                guard !rights.mayPublish(String(entry.key.namespace)) else { return true }
                refused.insert(String(entry.key.namespace))
            } else if publication.agent == sender || isGateway || rights.publishesAll(of: own) {
                return true
            }
            if publication.agent != sender, !isGateway { taken.spans[publication.agent] = nil }
            return false
        }
        if !seesEnough { taken.spans = taken.spans.filter { $0.key == sender } }
        return (taken, refused)
    }

    /// What the sender may be believed to have, where this agent has `mine`.
    func believed(_ vector: [AgentID: UInt64], mine: [AgentID: UInt64]) -> [AgentID: UInt64] {
        guard !seesEnough else { return vector }
        var believed: [AgentID: UInt64] = [:]
        for (agent, number) in vector { believed[agent] = agent == sender ? number : min(number, mine[agent] ?? 0) }
        return believed
    }

    /// What an agent with these rights may be told: spans stay, because of what it may read nothing is missing.
    static func told(_ message: PublicationMessage, to rights: Rights) -> PublicationMessage {
        guard !rights.mayReadEverything else { return message }
        var told = message
        told.publications = message.publications.filter { publication in
            publication.entry.map { rights.mayRead(String($0.key.namespace)) } ?? true
        }
        return told
    }

    /// The keys of namespaces that may be read.
    static func told(_ keys: [Key], to rights: Rights) -> [Key] {
        guard !rights.mayReadEverything else { return keys }
        return keys.filter { rights.mayRead(String($0.namespace)) }
    }
}
