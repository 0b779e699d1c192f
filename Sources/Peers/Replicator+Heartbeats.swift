// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

// Heartbeats.
extension Replicator {
    func configure(_ addresses: [PeerAddress: String?]) {
        update { state in
            state.membership.configure(addresses)
            state.awaitsNames = false
        }
    }

    /// A name did not resolve: it is not waited for.
    func namesFailed() { update { $0.awaitsNames = false } }

    func expectedSite(at address: PeerAddress) -> String {
        state.withLockedValue { $0.membership.expectedSite(at: address) }
    }

    /// Time passed: calls that are due, and peers that fell silent.
    func tick() {
        let calls = update { state in
            let now = now
            if state.membership.tick(now: now) {
                for peer in state.membership.all where peer.state != .alive { state.table.lost(peer.identity.agent) }
            }
            return state.membership.calls(now: now)
        }
        for address in calls { continuation.yield(.call(address)) }
    }

    func callFailed(_ address: PeerAddress, refused: Bool) {
        update { state in
            state.membership.failed(at: address, refused: refused, now: now)
            for peer in state.membership.all where peer.state == .dead { state.table.lost(peer.identity.agent) }
        }
    }

    /// A call was answered.
    func answered(_ heartbeat: Heartbeat, at address: PeerAddress) {
        heard(heartbeat) { $0.answered(heartbeat.identity, at: address, now: now) }
    }

    /// An agent called. - Returns: whether it is one to talk with.
    func called(_ heartbeat: Heartbeat, from host: String) -> Bool {
        heard(heartbeat) { $0.called(by: heartbeat.identity, from: host, now: now) }
    }

    @discardableResult
    private func heard(_ heartbeat: Heartbeat, _ admit: (inout Membership) -> Bool) -> Bool {
        let agent = heartbeat.identity.agent
        let (isAdmitted, commands): (Bool, [Command]) = update { state in
            guard admit(&state.membership) else { return (false, []) }
            let isLink = heartbeat.identity.site != site
            state.membership.setReach(of: agent, siteAgents: heartbeat.siteAgents, linksUp: heartbeat.linksUp)
            if !isLink { state.table.siteAgents.insert(agent) }
            var commands: [Command] = []
            if state.table.heard(heartbeat.vector, from: agent, isLink: isLink), state.pulling.insert(agent).inserted {
                commands.append(.pull(agent))
            }
            if (heartbeat.vector[own] ?? 0) > recoveredNumber, state.recovered.insert(agent).inserted {
                commands.append(.recover(agent))
            }
            return (true, commands)
        }
        for command in commands { continuation.yield(command) }
        if isAdmitted { kick(agent) }
        return isAdmitted
    }

    /// A recovery failed: it is tried again at the next heartbeat.
    func recoveryFailed(_ agent: AgentID) { state.withLockedValue { _ = $0.recovered.remove(agent) } }

    /// A request to a peer failed at the connection.
    func suspect(_ agent: AgentID, isDead: Bool) {
        update { state in
            state.membership.suspect(agent, isDead: isDead)
            if isDead { state.table.lost(agent) }
        }
    }
}

// Notices.
extension Replicator {
    func notify(_ notice: SettlingNotice, except: AgentID?) {
        update { state in
            guard state.notices.count < Replicator.noticesMax else { return }
            if let last = state.notices.last, last.except == except, last.notice.settling == notice.settling,
                last.notice.hops == notice.hops,
                last.notice.keys.count + notice.keys.count <= SettlingNotice.keyCountMax
            {
                state.notices[state.notices.count - 1].notice.keys += notice.keys
            } else {
                state.notices.append(Notice(notice: notice, except: except))
            }
        }
    }

    /// The notices that have gathered; nil where there are none and sending is over.
    func takeNotices() -> [Notice]? {
        state.withLockedValue { state in
            defer { state.notices = [] }
            if state.notices.isEmpty { state.isNotifying = false }
            return state.notices.isEmpty ? nil : state.notices
        }
    }
}
