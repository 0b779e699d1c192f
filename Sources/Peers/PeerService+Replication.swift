// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import Metrics
import NIOConcurrencyHelpers
import NIOPosix
import Storage

// Pushes, pulls, and what a power loss took.

extension PeerService {
    /// Tells a peer what it lacks, message by message, until it lacks nothing or does not answer.
    func push(to agent: AgentID) async {
        while let (peer, after) = replicator.owed(to: agent) {
            do {
                let message = try await gather(after, for: agent, rights(of: agent), wait: limits.acknowledge)
                let isLink = peer.identity.site != configuration.site
                let body = Envelope.seal(message.encoded(), compress: isLink)
                count(.sent, body.count, site: peer.identity.site)
                let answer = try await client().post(
                    Wire.push,
                    body,
                    to: peer.address,
                    limit: limits.answer + limits.acknowledge
                )
                count(.received, answer.count, site: peer.identity.site)
                noteRefusal(answer, by: peer.identity)
                // What it did not take, because clocks differ or something before it is missing, it will ask for.
                replicator.update { $0.acknowledged(message.spans.mapValues(\.upTo), by: agent) }
            } catch {
                let failure = error as? PeerFailure
                metrics.pushFailures.increment()
                let message = failure?.error.message ?? "\(error)"
                logger.debug("push failed", metadata: ["peer": "\(agent)", "error": "\(message)"])
                let isSilent = failure?.isSilence ?? false
                return replicator.update {
                    $0.pushFailed(agent, isDead: failure?.isRefused ?? false, isSilent: isSilent)
                }
            }
        }
    }

    /// What is still current above the numbers and may be told to an agent, in one message of limited size.
    func gather(
        _ after: [AgentID: UInt64],
        for receiver: AgentID,
        _ rights: Rights,
        wait: Duration = .zero
    ) async throws -> PublicationMessage {
        let catalog = directory.catalog
        let limits = self.limits
        let own = agent
        return try await NIOThreadPool.singleton.runIfActive {
            let all = try PublicationMessage.gather(after, first: own, wait: wait, limits: limits) {
                publisher, number, limit in
                try catalog.publications(of: publisher, after: number, limit: limit)
            }
            return try PublicationCheck.told(
                all,
                to: receiver,
                rights,
                namespaces: catalog.namespaces(of:),
                holdings: catalog.holdings(of:)
            )
        }
    }

    /// Asks a peer for what is missing here, message by message, until nothing is.
    func pull(from agent: AgentID) async {
        while let (peer, after) = replicator.gaps(at: agent) {
            do {
                let (message, _) = try await ask(peer, after)
                guard !message.spans.isEmpty else { break }
                let vector = try await directory.receive(message, from: agent)
                metrics.repairs.increment()
                let isProgress = after.contains { vector[$0.key] ?? 0 > $0.value }
                guard isProgress else { break }
            } catch {
                failed(peer, error)
                break
            }
        }
        replicator.update { $0.pullEnded(agent) }
    }

    /// Asks a peer for our own publications above the number that this catalog knew when it was opened.
    func recover(from agent: AgentID) async {
        guard let peer = replicator.peer(agent) else { return }
        var number = replicator.recoveredNumber
        let end = number + Catalog.numberGap
        while number < end {
            do {
                var (message, _) = try await ask(peer, [self.agent: number])
                // What was published since this catalog was opened is known.
                message.clip(self.agent, at: end)
                guard let span = message.spans[self.agent], span.upTo > number else { return }
                _ = try await directory.receive(message, from: agent, ownUpTo: end)
                try await directory.giveUpLost(message.publications)
                number = span.upTo
            } catch {
                failed(peer, error)
                return replicator.state.withLockedValue { $0.replication.recoveryFailed(agent) }
            }
        }
    }

    private func ask(
        _ peer: Membership.Peer,
        _ after: [AgentID: UInt64]
    ) async throws -> (message: PublicationMessage, refused: Set<String>) {
        var request = ByteWriter()
        request.fixed(UInt8(1))
        Vector.encode(after, into: &request)
        count(.sent, request.bytes.count, site: peer.identity.site)
        let (answer, authority) = try await client().exchange(
            Wire.publications,
            request.bytes,
            with: peer.address,
            limit: limits.silence
        )
        count(.received, answer.count, site: peer.identity.site)
        let raw = try Envelope.open(answer, max: limits.messageByteCountMax)
        let message = try PublicationMessage(decoding: raw, limits: limits)
        return taken(message, from: peer.identity.agent, authority, isGateway: peer.identity.isGateway)
    }

    /// A peer failed or lied: counted, reported once where it lied, and no longer waited for where it is silent.
    func failed(_ peer: Membership.Peer, _ error: any Error) {
        guard !(error is CancellationError) else { return }
        let failure = error as? PeerFailure
        if let failure, failure.isSilence {
            metrics.failed(.unavailable)
            return replicator.update { $0.suspect(peer.identity.agent, isDead: failure.isRefused) }
        }
        let lie = error is ContentError || failure?.error.code == .lying
        metrics.failed(failure?.error.code ?? (lie ? .lying : .storage))
        if lie { reportLie(peer.identity.agent, peer.identity.name, "\(failure?.error.message ?? "\(error)")") }
    }

    /// Removes the keys of objects that nobody holds any more.
    func remove(_ manifests: Set<Digest>) async {
        do {
            try await directory.removeUnheld(manifests)
        } catch is CancellationError {
            // The agent stops; the keys are removed when they are missed.
        } catch {
            logger.error("keys that nobody holds not removed", metadata: ["error": "\(error)"])
        }
    }

    /// Shows that this agent lives.
    func beat() async {
        do {
            try await directory.beat()
        } catch {
            logger.warning("no sign of life given", metadata: ["error": "\(error)"])
        }
    }

    /// Removes the keys of what only agents held that are gone for good, as far as this agent may.
    func bury(_ agents: Set<AgentID>) async {
        let rights = ownRights
        do {
            let count = try await directory.bury(agents) { rights.mayPublish(String($0.namespace)) }
            guard count > 0 else { return }
            logger.notice(
                "keys removed whose only holders are gone for good",
                metadata: ["keys": "\(count)", "unheard": "\(limits.absence)"]
            )
        } catch is CancellationError {
            // The agent stops; who judges next removes them.
        } catch {
            logger.error("keys of agents that are gone not removed", metadata: ["error": "\(error)"])
        }
    }

    /// Logs the first lie of an agent.
    func reportLie(_ agent: AgentID, _ name: String, _ message: String) {
        let isNew = state.withLockedValue { state in
            state.lyingReported.count < limits.contactsMax && state.lyingReported.insert(agent).inserted
        }
        guard isNew else { return }
        logger.error(
            "peer answered with what the protocol does not allow",
            metadata: ["peer": "\(agent)", "name": "\(name)", "error": "\(message)"]
        )
    }

    /// Sends the notices that have gathered to every live peer that may hear them.
    func sendNotices() async {
        while let notices = replicator.takeNotices() {
            guard let client = try? client() else { continue }
            let peers = replicator.members.filter { $0.state == .alive }
            await withDiscardingTaskGroup { group in
                for notice in notices {
                    // What came from elsewhere is handed on only by a gateway, from its site to links and back.
                    for peer in peers where peer.identity.agent != notice.except && hears(peer, notice) {
                        var told = notice.notice
                        told.keys = PublicationCheck.told(told.keys, to: rights(of: peer.identity.agent))
                        guard !told.keys.isEmpty else { continue }
                        let body = told.encoded()
                        count(.sent, body.count, site: peer.identity.site)
                        group.addTask { _ = try? await client.post(Wire.settling, body, to: peer.address) }
                    }
                }
            }
        }
    }

    private func hears(_ peer: Membership.Peer, _ notice: Replicator.Notice) -> Bool {
        guard let except = notice.except, let from = replicator.peer(except) else { return true }
        return (from.identity.site == configuration.site) != (peer.identity.site == configuration.site)
    }
}
