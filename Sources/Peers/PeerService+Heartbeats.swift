// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import Metrics

// The loops: time, names, and what the replicator decides.

extension PeerService {
    /// How often the replicator looks whether a call is due; a quarter of the heartbeat spreads the calls, and an idle
    /// agent wakes up seldom.
    private var tick: Duration { limits.heartbeat / 4 }

    func keepCalling() async {
        // Calls carry our port, so they begin when it is known.
        await bound.wait()
        while !Task.isCancelled {
            replicator.update { $0.tick(now: replicator.now) }
            report()
            try? await Task.sleep(for: tick)
        }
    }

    func keepResolving() async {
        guard let name = configuration.dns else { return }
        while !Task.isCancelled {
            do {
                let addresses = try await Resolver.resolve(name)
                replicator.update { $0.configure(Replication.addresses(configuration, resolved: addresses)) }
            } catch is CancellationError {
                return
            } catch {
                logger.debug("name not resolved", metadata: ["name": "\(name)", "error": "\(error)"])
                replicator.update { $0.namesFailed() }
            }
            try? await Task.sleep(for: limits.resolve)
        }
    }

    /// Carries out the replicator's commands: at most one of a kind per peer at a time.
    func carryOut() async {
        await withDiscardingTaskGroup { group in
            for await command in replicator.commands {
                group.addTask {
                    switch command {
                    case .call(let address): await self.call(address)
                    case .push(let agent): await self.push(to: agent)
                    case .pull(let agent): await self.pull(from: agent)
                    case .recover(let agent): await self.recover(from: agent)
                    case .beat: await self.beat()
                    case .bury(let agents): await self.bury(agents)
                    case .notify: await self.sendNotices()
                    case .remove(let manifests): await self.remove(manifests)
                    }
                }
            }
            group.cancelAll()
        }
    }

    /// What we tell in a heartbeat.
    func heartbeat(toSite site: String?, _ rights: Rights) -> Heartbeat {
        let identity = self.identity
        let clock = directory.clockReading()
        let settling = PublicationCheck.told(directory.settlingKeys, to: rights)
        return replicator.read { $0.heartbeat(from: identity, to: site, clock: clock, settling: settling) }
    }

    private func call(_ address: PeerAddress) async {
        let site = replicator.expectedSite(at: address)
        let known = replicator.expected(at: address)?.agent
        let told = known.map { rights(of: $0.agent) } ?? strangerRights
        let body = heartbeat(toSite: site, told).encoded()
        do {
            let client = try client()
            count(.sent, body.count, site: site)
            let (answer, authority) = try await client.exchange(Wire.heartbeat, body, with: address)
            count(.received, answer.count, site: site)
            let heartbeat = try heard(try Heartbeat(decoding: answer, limits: limits), authority)
            noteCall(address, failure: nil)
            note(heartbeat)
            replicator.update { $0.answered(heartbeat, at: address, now: replicator.now) }
        } catch {
            let failure = (error as? PeerFailure) ?? (error as? PeersError).map { PeerFailure($0) }
            metrics.heartbeatFailures.increment()
            if !(error is CancellationError) {
                noteCall(address, failure: failure?.error ?? PeersError(.lying, "\(address) answered with garbage"))
            }
            let message = failure?.error.message ?? "\(error)"
            logger.debug("heartbeat failed", metadata: ["address": "\(address)", "error": "\(message)"])
            replicator.update {
                $0.callFailed(address, refused: failure?.isRefused ?? false, now: replicator.now)
            }
        }
    }

    /// What a heartbeat says besides who is there.
    func note(_ heartbeat: Heartbeat) {
        guard heartbeat.identity.agent != agent else { return }
        directory.check(clock: heartbeat.clock, of: heartbeat.identity.agent)
        if !heartbeat.settling.isEmpty { directory.noteSettling(heartbeat.settling, settling: true) }
    }

    /// Counts a message over a link against the budget; between peers of a site it is not counted.
    func count(_ direction: PeersMetrics.Direction, _ bytes: Int, site: String) {
        guard site != configuration.site else { return }
        metrics.link(direction, site: site, class: "directory", bytes: bytes)
        if direction == .sent { pacer.charge(bytes: bytes) }
    }

    private func report() {
        let alive = replicator.members.filter { $0.state == .alive }
        metrics.alive.record(alive.count)
        metrics.linksUp.record(alive.filter { $0.identity.site != configuration.site }.count)
    }
}
