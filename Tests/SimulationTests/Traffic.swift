// SPDX-License-Identifier: Apache-2.0

import Peers

/// Messages and bytes, in all and over links.
struct Traffic {
    struct Count {
        var messages = 0
        var bytes = 0
    }

    var heartbeats = Count()
    var pushes = Count()
    var pulls = Count()
    var linkHeartbeats = Count()
    var linkPushes = Count()
    /// Encoding costs more than everything else, so it is done where somebody asks for bytes.
    var countsBytes = false

    mutating func count(_ request: Request, isLink: Bool) {
        switch request {
        case .heartbeat(let heartbeat): count(heartbeat, isLink)
        case .push(let message):
            let bytes = countsBytes ? message.encoded().count : 0
            pushes.messages += 1
            pushes.bytes += bytes
            if isLink {
                linkPushes.messages += 1
                linkPushes.bytes += bytes
            }
        // Pulls are counted where they are made: an agent that restarted asks for its own publications, too.
        case .publications: break
        }
    }

    mutating func count(_ answer: Answer, isLink: Bool) {
        if case .heartbeat(let heartbeat) = answer { count(heartbeat, isLink) }
    }

    private mutating func count(_ heartbeat: Heartbeat, _ isLink: Bool) {
        let bytes = countsBytes ? heartbeat.encoded().count : 0
        heartbeats.messages += 1
        heartbeats.bytes += bytes
        if isLink {
            linkHeartbeats.messages += 1
            linkHeartbeats.bytes += bytes
        }
    }
}
