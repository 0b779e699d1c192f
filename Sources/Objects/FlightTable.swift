// SPDX-License-Identifier: Apache-2.0

public import Content

/// Which chunks are being fetched and who waits for them: every chunk is fetched once however many readers wait.
///
/// Flights differ in how far they go. Who asks for another agent never waits for a flight that goes further than its
/// own would: that flight may be waiting for the asker. Levels only fall, so nobody waits in a circle.
///
/// A value: events in, waiters to wake out. `Flights` is the shell that holds the continuations.
public struct FlightTable: Sendable {
    public typealias FlightID = UInt64
    public typealias WaiterID = UInt64

    /// How far a flight goes.
    public enum Reach: Int, Comparable, Sendable, CaseIterable {
        /// To stores of this site.
        case site
        /// To links too, or to a gateway.
        case links
        /// To agents that go there in the asker's place.
        case owners

        public static func < (a: Reach, b: Reach) -> Bool { a.rawValue < b.rawValue }
    }

    /// What a join says to do.
    public struct Joined: Sendable {
        /// What nobody fetches yet: the caller starts one flight for it, or nothing where it is empty.
        public var new: [Digest]
        public var flight: FlightID
        /// Flights of others that bring the rest: to be promoted where the joiner is more urgent.
        public var others: Set<FlightID>
    }

    /// A chunk on flights of one reach.
    private struct Lane: Hashable {
        let digest: Digest
        let reach: Reach
    }

    private var carriers: [Lane: FlightID] = [:]
    private var waiting: [Lane: [WaiterID]] = [:]
    private var lacking: [WaiterID: Int] = [:]
    private var next: UInt64 = 1

    public init() {}

    /// Nobody waits and nothing is under way.
    public var isEmpty: Bool { carriers.isEmpty && lacking.isEmpty }

    /// Registers a waiter for `digests` (no duplicates), none of which is in the store.
    ///
    /// - Parameter reach: of the waiter's own flight; it joins those that go as far or less far, the farthest first.
    public mutating func join(_ digests: [Digest], waiter: WaiterID, reach: Reach = .links) -> Joined {
        let flight = next
        next += 1
        var joined = Joined(new: [], flight: flight, others: [])
        for digest in digests {
            let lanes = Reach.allCases.reversed().filter { $0 <= reach }.map { Lane(digest: digest, reach: $0) }
            if let lane = lanes.first(where: { carriers[$0] != nil }), let carrier = carriers[lane] {
                joined.others.insert(carrier)
                waiting[lane, default: []].append(waiter)
            } else {
                let lane = Lane(digest: digest, reach: reach)
                carriers[lane] = flight
                joined.new.append(digest)
                waiting[lane, default: []].append(waiter)
            }
        }
        lacking[waiter] = digests.count
        return joined
    }

    /// A chunk is in the store now. Returns the waiters that lack nothing more.
    public mutating func arrived(_ digest: Digest) -> [WaiterID] {
        var done: [WaiterID] = []
        for lane in Reach.allCases.map({ Lane(digest: digest, reach: $0) }) {
            carriers[lane] = nil
            for waiter in waiting.removeValue(forKey: lane) ?? [] {
                guard let count = lacking[waiter] else { continue }
                if count == 1 {
                    lacking[waiter] = nil
                    done.append(waiter)
                } else {
                    lacking[waiter] = count - 1
                }
            }
        }
        return done
    }

    /// A flight is over. Returns the waiters of what it did not bring: they ask again or give up.
    public mutating func ended(_ flight: FlightID, of digests: [Digest]) -> [WaiterID] {
        var abandoned: [WaiterID] = []
        for digest in digests {
            for lane in Reach.allCases.map({ Lane(digest: digest, reach: $0) }) where carriers[lane] == flight {
                carriers[lane] = nil
                for waiter in waiting.removeValue(forKey: lane) ?? [] where lacking.removeValue(forKey: waiter) != nil {
                    abandoned.append(waiter)
                }
            }
        }
        return abandoned
    }

    /// A waiter left. Its flight goes on: what was asked for ends in the store.
    public mutating func left(_ waiter: WaiterID) {
        lacking[waiter] = nil
    }
}
