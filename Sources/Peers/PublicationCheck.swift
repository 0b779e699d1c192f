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

    /// The most holdings of one object that go along with its entry: more sources than anybody asks.
    static let holdingsAlongMax = 16

    /// What an agent may be told: spans stay, because of what it may read nothing is missing.
    ///
    /// A digest is as good as a name to who wants to learn what others build, so a holding is told where rights reach a
    /// namespace in which a key names the object, or named it before. One of an object that no key names yet is not
    /// told: it goes along with the entry that names it, outside of its publisher's span.
    ///
    /// - Parameters:
    ///   - rights: those of the receiver.
    ///   - namespaces: in which keys name an object or did.
    ///   - holdings: who holds an object, as they published it.
    /// - Throws: what the last two throw.
    static func told<Failure: Error>(
        _ message: PublicationMessage,
        to receiver: AgentID,
        _ rights: Rights,
        namespaces: (Digest) throws(Failure) -> Set<String>,
        holdings: (Digest) throws(Failure) -> [Publication]
    ) throws(Failure) -> PublicationMessage {
        guard !rights.mayReadEverything else { return message }
        var told = message
        told.publications = []
        var mayRead: [Digest: Bool] = [:]
        var along: Set<Digest> = []
        for publication in message.publications {
            switch publication.change {
            case .entry(let entry):
                guard rights.mayRead(String(entry.key.namespace)) else { continue }
                told.publications.append(publication)
                guard let manifest = entry.manifest, along.insert(manifest).inserted else { continue }
                let others = try holdings(manifest).filter { $0.agent != publication.agent && $0.agent != receiver }
                told.publications += others.prefix(PublicationCheck.holdingsAlongMax)
            case .holding(let manifest, _):
                let isNamed: Bool
                if let known = mayRead[manifest] {
                    isNamed = known
                } else {
                    isNamed = try namespaces(manifest).contains { rights.mayRead($0) }
                    mayRead[manifest] = isNamed
                }
                if isNamed || publication.agent == receiver { told.publications.append(publication) }
            }
        }
        return told
    }

    /// The keys of namespaces that may be read.
    static func told(_ keys: [Key], to rights: Rights) -> [Key] {
        guard !rights.mayReadEverything else { return keys }
        return keys.filter { rights.mayRead(String($0.namespace)) }
    }
}
