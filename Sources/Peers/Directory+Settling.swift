// SPDX-License-Identifier: Apache-2.0

public import Content
import NIOConcurrencyHelpers

// A writer that was closed but not yet released settles (DESIGN §5): peers are told, so that an open elsewhere waits
// for its publication instead of missing it. A notice is good for one second and is repeated by heartbeats; it is a
// courtesy, so it is never waited for.

extension Directory {
    /// Tells peers that keys begin or cease to settle here. Returns at once; notices are batched.
    public func announceSettling(_ keys: [Key], settling: Bool) {
        let told = state.withLockedValue { state in
            keys.filter { key in
                guard settling else { return state.localSettling.remove(key) != nil }
                guard state.localSettling.count < limits.settlingMax else { return false }
                return state.localSettling.insert(key).inserted
            }
        }
        for start in stride(from: 0, to: told.count, by: SettlingNotice.keyCountMax) {
            let keys = Array(told[start..<min(start + SettlingNotice.keyCountMax, told.count)])
            replicator.notify(SettlingNotice(keys: keys, settling: settling, hops: 0), except: nil)
        }
    }

    /// Whether a key settles here or, as far as was said within the last second, at a peer.
    public func isSettling(_ key: Key) -> Bool {
        state.withLockedValue { state in
            if state.localSettling.contains(key) { return true }
            guard let until = state.peerSettling[key] else { return false }
            return until > .now
        }
    }

    /// The keys that settle here.
    var settlingKeys: [Key] { state.withLockedValue { Array($0.localSettling.prefix(Heartbeat.settlingMax)) } }

    /// Takes note of a peer's notice.
    func noteSettling(_ keys: [Key], settling: Bool) {
        let until = ContinuousClock.now + limits.settle
        state.withLockedValue { state in
            guard settling else {
                for key in keys { state.peerSettling[key] = nil }
                return
            }
            if state.peerSettling.count + keys.count > limits.settlingMax {
                state.peerSettling = state.peerSettling.filter { $0.value > .now }
            }
            for key in keys where state.peerSettling.count < limits.settlingMax { state.peerSettling[key] = until }
        }
    }
}

/// Keys that begin or cease to settle at an agent.
///
/// Format: `u8` 1, `u8` settling, `u8` hops, count of keys, keys.
struct SettlingNotice: Sendable, Hashable {
    /// From an agent to its gateway, over a link, to the agents there: two agents hand it on.
    static let hopsMax: UInt8 = 2
    /// Keys of one notice; more make more notices.
    static let keyCountMax = 1000

    var keys: [Key]
    var settling: Bool
    var hops: UInt8

    func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: 16 + keys.count * 64)
        out.fixed(UInt8(1))
        out.fixed(UInt8(settling ? 1 : 0))
        out.fixed(hops)
        out.count(keys.count)
        for key in keys { out.text(key.text) }
        return out.bytes
    }

    init(keys: [Key], settling: Bool, hops: UInt8) {
        self.keys = keys
        self.settling = settling
        self.hops = hops
    }

    init(decoding bytes: [UInt8]) throws(ContentError) {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown notice format") }
        settling = try reader.fixed(UInt8.self) == 1
        hops = try reader.fixed()
        keys = []
        for _ in 0..<(try reader.count(max: SettlingNotice.keyCountMax)) {
            keys.append(try Key(try reader.text(max: Key.byteCountMax)))
        }
        try reader.end()
    }
}
