// SPDX-License-Identifier: Apache-2.0

import Metrics
import NIOConcurrencyHelpers

/// All metrics of this module, made once. Units are in the names.
struct PeersMetrics: Sendable {
    enum Direction: String { case sent, received }

    let publicationsSent = Counter(label: "larder_peer_publications_total", dimensions: [("direction", "sent")])
    let publicationsReceived = Counter(label: "larder_peer_publications_total", dimensions: [("direction", "received")])
    /// Entries whose clock was over the drift that is allowed.
    let drifted = Counter(label: "larder_peer_drifted_total")
    let heartbeatFailures = Counter(label: "larder_peer_heartbeat_failures_total")
    let pushFailures = Counter(label: "larder_peer_push_failures_total")
    let repairs = Counter(label: "larder_peer_repairs_total")
    let chunkRequestsServed = Counter(label: "larder_peer_chunk_requests_total", dimensions: [("side", "served")])
    let chunkRequestsMade = Counter(label: "larder_peer_chunk_requests_total", dimensions: [("side", "made")])
    let chunkRequestsRefused = Counter(label: "larder_peer_chunk_requests_total", dimensions: [("side", "refused")])
    let siteBytesSent = Counter(label: "larder_peer_bytes_total", dimensions: [("direction", "sent")])
    let siteBytesReceived = Counter(label: "larder_peer_bytes_total", dimensions: [("direction", "received")])
    /// Publications that whoever sent them may not publish, connections, and reads outside of a caller's namespaces.
    let publicationsRefused = Counter(label: "larder_peer_refused_total", dimensions: [("what", "publication")])
    let connectionsRefused = Counter(label: "larder_peer_refused_total", dimensions: [("what", "connection")])
    let readsRefused = Counter(label: "larder_peer_refused_total", dimensions: [("what", "read")])
    let alive = Gauge(label: "larder_peer_alive")
    let linksUp = Gauge(label: "larder_link_up")
    /// Quanta of answers that wait for the uplink.
    let paced = Gauge(label: "larder_link_waiting_quanta")

    private let failures = NIOLockedValueBox<[String: Counter]>([:])
    private let links = NIOLockedValueBox<[String: Counter]>([:])

    /// Sources that failed, by what they did.
    func failed(_ code: PeersError.Code) {
        cached(failures, code.rawValue) {
            Counter(label: "larder_peer_source_failures_total", dimensions: [("code", code.rawValue)])
        }.increment()
    }

    /// Bytes of bodies over a link; the class is a priority's name, or `directory` for messages.
    func link(_ direction: Direction, site: String, class name: String, bytes: Int) {
        cached(links, "\(direction.rawValue) \(site) \(name)") {
            Counter(
                label: "larder_link_bytes_total",
                dimensions: [("direction", direction.rawValue), ("site", site), ("class", name)]
            )
        }.increment(by: bytes)
    }

    private func cached(
        _ box: NIOLockedValueBox<[String: Counter]>,
        _ key: String,
        _ make: () -> Counter
    ) -> Counter {
        if let counter = box.withLockedValue({ $0[key] }) { return counter }
        let made = make()
        return box.withLockedValue { counters in
            if let counter = counters[key] { return counter }
            counters[key] = made
            return made
        }
    }
}

extension Priority {
    /// The label of its class.
    var label: String {
        switch self {
        case .reader: "reader"
        case .deadline: "deadline"
        case .hinted: "hinted"
        case .replication: "replication"
        }
    }
}
