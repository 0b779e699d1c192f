// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import Metrics
import NIOConcurrencyHelpers
import NIOPosix
import Storage

// Who an agent is and what it may, as its certificate says (P10). Without credentials everybody may everything: then
// the network is trusted, which the configuration had to say.

extension PeerService {
    /// The name under which the catalog keeps ``Rights/readableNumber``.
    private static let rightsName = "readable"

    /// Compares the rights with those of the last start. What was published where this agent could not read was told to
    /// it as nothing; where it may read more by now, everything is asked for again.
    static func noteRights(_ rights: Rights, _ catalog: Catalog) throws(StorageError) {
        let number = rights.readableNumber
        let last = try catalog.integer(rightsName) ?? 0
        guard number != last else { return }
        // Who could read everything has missed nothing.
        if last != 0 { try catalog.forgetVector() }
        try catalog.setInteger(rightsName, number)
    }

    /// What our own certificate allows.
    var ownRights: Rights { keyring?.current.authority.rights ?? .all }

    /// What an agent that was heard may.
    func rights(of agent: AgentID) -> Rights {
        guard keyring != nil else { return .all }
        return state.withLockedValue { $0.security.authorities[agent]?.rights } ?? strangerRights
    }

    /// What an agent may of which nothing is known.
    var strangerRights: Rights { keyring == nil ? .all : Rights([:]) }

    /// Takes note of who sent a heartbeat.
    ///
    /// - Returns: the heartbeat without what its sender cannot say.
    /// - Throws: ``PeersError`` `refused` where it calls itself otherwise than its certificate does.
    func heard(_ said: Heartbeat, _ authority: Authority?) throws(PeersError) -> Heartbeat {
        if said.identity.agent != agent { try bind(said.identity, authority) }
        return believed(said, authority)
    }

    /// What the client needs for TLS; nil: plaintext.
    var clientSecurity: ClientSecurity? {
        keyring.map { keyring in
            ClientSecurity(keyring: keyring, allowed: configuration.allowedSites) { [replicator] address, path in
                guard let known = replicator.expected(at: address) else { return nil }
                // A call finds out who is there; everything else is meant for who was found.
                let name = path == Wire.heartbeat ? nil : known.agent?.name
                return "\(known.site)/\(name ?? Authority.everyAgent)"
            }
        }
    }

    /// Takes note of who an agent proved to be.
    ///
    /// - Throws: ``PeersError`` `refused` where it calls itself otherwise than its certificate does, or takes the id of
    ///   another agent.
    private func bind(_ identity: Identity, _ authority: Authority?) throws(PeersError) {
        guard keyring != nil else { return }
        guard let authority, authority.allows(site: identity.site, agent: identity.name) else {
            throw PeersError(
                .refused,
                "an agent calls itself \(identity.site)/\(identity.name) and its certificate is that of "
                    + "\(authority.map { "\($0)" } ?? "nobody")"
            )
        }
        try checkOwner(of: identity.agent, authority)
        state.withLockedValue { state in
            let known = state.security.authorities
            if known[identity.agent] != nil || known.count < limits.agentsMax {
                state.security.authorities[identity.agent] = authority
            }
        }
    }

    /// Who takes an id speaks for all that the agent of that id holds, also where it is dead: only who could remove the
    /// keys anyway may.
    ///
    /// - Throws: ``PeersError`` `refused` where an agent with another certificate has or had this id.
    func checkOwner(of agent: AgentID, _ authority: Authority) throws(PeersError) {
        let known = state.withLockedValue { $0.security.authorities[agent] }
        guard let known, known.description != authority.description else { return }
        guard replicator.peer(agent)?.state != .alive, authority.rights.publishesAll(of: ownRights) else {
            throw PeersError(.refused, "\(authority) uses the agent id \(agent) of \(known)")
        }
    }

    /// What is taken of publications that an agent handed over; what is not is counted, and reported once.
    func taken(
        _ message: PublicationMessage,
        from sender: AgentID,
        _ authority: Authority?,
        isGateway: Bool
    ) -> (message: PublicationMessage, refused: Set<String>) {
        guard keyring != nil else { return (message, []) }
        let check = check(sender, authority, isGateway: isGateway)
        let (taken, refused) = check.taken(of: message)
        let count = message.publications.count - taken.publications.count
        if count > 0 { metrics.publicationsRefused.increment(by: count) }
        for namespace in refused.sorted() {
            let name = authority.map { "\($0)" } ?? "\(sender)"
            let isNew = state.withLockedValue { $0.security.isNew("publication \(name) \(namespace)") }
            guard isNew else { continue }
            logger.error(
                "publications refused: the certificate of who sent them does not allow it to publish there",
                metadata: ["peer": "\(name)", "namespace": "\(namespace)"]
            )
        }
        return (taken, refused)
    }

    private func believed(_ heartbeat: Heartbeat, _ authority: Authority?) -> Heartbeat {
        guard keyring != nil else { return heartbeat }
        let check = check(heartbeat.identity.agent, authority, isGateway: heartbeat.identity.isGateway)
        var believed = heartbeat
        believed.vector = check.believed(heartbeat.vector, mine: replicator.mine)
        believed.settling = heartbeat.settling.filter { check.rights.mayPublish(String($0.namespace)) }
        return believed
    }

    private func check(_ sender: AgentID, _ authority: Authority?, isGateway: Bool) -> PublicationCheck {
        let rights = authority?.rights ?? Rights([:])
        // Anybody may call itself a gateway: in our own site only who may remove the keys anyway is believed.
        let isBelieved = authority?.site != configuration.site || rights.publishesAll(of: ownRights)
        return PublicationCheck(
            sender: sender,
            rights: rights,
            isGateway: isGateway && isBelieved,
            own: ownRights
        )
    }

    /// A peer said that it does not take what this agent publishes in some namespaces.
    func noteRefusal(_ answer: [UInt8], by peer: Identity) {
        guard !answer.isEmpty, let refused = try? RefusedNamespaces(decoding: answer) else { return }
        for namespace in refused.namespaces {
            let isNew = state.withLockedValue { state in
                if state.security.refusedBy.count < SecurityState.refusalCountMax {
                    state.security.refusedBy[namespace, default: []].insert("\(peer.site)/\(peer.name)")
                }
                return state.security.isNew("refusal \(peer.site)/\(peer.name) \(namespace)")
            }
            guard isNew else { continue }
            logger.error(
                "a peer refuses what this agent publishes: this agent's certificate does not allow it",
                metadata: ["peer": "\(peer.site)/\(peer.name)", "namespace": "\(namespace)"]
            )
        }
    }

    /// The namespaces in which others refuse what this agent publishes, with their names.
    public var refusals: [String: Set<String>] { state.withLockedValue { $0.security.refusedBy } }

    /// A connection was refused before it could ask anything.
    func noteRefusal(_ refusal: ConnectionRefusal) {
        metrics.connectionsRefused.increment()
        guard state.withLockedValue({ $0.security.isNew("connection \(refusal.host) \(refusal.message)") }) else {
            return
        }
        logger.error(
            "connection of another agent refused",
            metadata: ["host": "\(refusal.host)", "error": "\(refusal.message)"]
        )
    }

    /// How a call to an address ended; nil: well.
    func noteCall(_ address: PeerAddress, failure: PeersError?) {
        let isNew = state.withLockedValue { state in
            let known = state.security.callFailures
            guard known[address] != nil || known.count < limits.contactsMax else { return false }
            state.security.callFailures[address] = failure?.message
            guard let failure, failure.code == .refused else { return false }
            return state.security.isNew("call \(address) \(failure.message)")
        }
        guard isNew, let failure else { return }
        logger.error("peer cannot be talked with", metadata: ["address": "\(address)", "error": "\(failure.message)"])
    }

    /// Takes renewed credentials for new connections; what cannot be used is reported once and tried again.
    func keepRenewing() async {
        guard let keyring else { return }
        while !Task.isCancelled {
            try? await Task.sleep(for: limits.credentials)
            guard let outcome = try? await NIOThreadPool.singleton.runIfActive({ keyring.refresh() }) else { return }
            switch outcome {
            case .unchanged: break
            case .renewed(let credentials):
                logger.notice(
                    "certificate renewed",
                    metadata: ["agent": "\(credentials.authority)", "end": "\(credentials.end)"]
                )
            case .unusable(let error):
                guard state.withLockedValue({ $0.security.isNew("credentials \(error.message)") }) else { break }
                logger.error("certificate not renewed", metadata: ["error": "\(error.message)"])
            }
        }
    }
}

/// The answer to a push of which something was refused: the namespaces.
///
/// Format: `u8` 1, count of namespaces, namespaces. A push of which all was taken is answered with nothing.
struct RefusedNamespaces {
    let namespaces: Set<String>

    init(_ namespaces: Set<String>) { self.namespaces = namespaces }

    func encoded() -> [UInt8] {
        guard !namespaces.isEmpty else { return [] }
        var out = ByteWriter(reserving: 64)
        out.fixed(UInt8(1))
        out.count(namespaces.count)
        for namespace in namespaces.sorted() { out.text(namespace) }
        return out.bytes
    }

    init(decoding bytes: [UInt8]) throws(ContentError) {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown answer format") }
        var namespaces: Set<String> = []
        for _ in 0..<(try reader.count(max: Rights.namespaceCountMax)) {
            namespaces.insert(try reader.text(max: Key.byteCountMax))
        }
        try reader.end()
        self.namespaces = namespaces
    }
}
