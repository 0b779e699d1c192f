// SPDX-License-Identifier: Apache-2.0

public import Content

/// Which chunks are being fetched and who waits for them: every chunk is fetched once however many readers wait.
///
/// A value: events in, waiters to wake out. `Flights` is the shell that holds the continuations.
public struct FlightTable: Sendable {
    public typealias FlightID = UInt64
    public typealias WaiterID = UInt64

    /// What a join says to do.
    public struct Joined: Sendable {
        /// What nobody fetches yet: the caller starts one flight for it, or nothing where it is empty.
        public var new: [Digest]
        public var flight: FlightID
        /// Flights of others that bring the rest: to be promoted where the joiner is more urgent.
        public var others: Set<FlightID>
    }

    private var carriers: [Digest: FlightID] = [:]
    private var waiting: [Digest: [WaiterID]] = [:]
    private var lacking: [WaiterID: Int] = [:]
    private var next: UInt64 = 1

    public init() {}

    /// Nobody waits and nothing is under way.
    public var isEmpty: Bool { carriers.isEmpty && lacking.isEmpty }

    /// Registers a waiter for `digests` (no duplicates), none of which is in the store.
    public mutating func join(_ digests: [Digest], waiter: WaiterID) -> Joined {
        let flight = next
        next += 1
        var joined = Joined(new: [], flight: flight, others: [])
        for digest in digests {
            if let carrier = carriers[digest] {
                joined.others.insert(carrier)
            } else {
                carriers[digest] = flight
                joined.new.append(digest)
            }
            waiting[digest, default: []].append(waiter)
        }
        lacking[waiter] = digests.count
        return joined
    }

    /// A chunk is in the store now. Returns the waiters that lack nothing more.
    public mutating func arrived(_ digest: Digest) -> [WaiterID] {
        carriers[digest] = nil
        var done: [WaiterID] = []
        for waiter in waiting.removeValue(forKey: digest) ?? [] {
            guard let count = lacking[waiter] else { continue }
            if count == 1 {
                lacking[waiter] = nil
                done.append(waiter)
            } else {
                lacking[waiter] = count - 1
            }
        }
        return done
    }

    /// A flight is over. Returns the waiters of what it did not bring: they ask again or give up.
    public mutating func ended(_ flight: FlightID, of digests: [Digest]) -> [WaiterID] {
        var abandoned: [WaiterID] = []
        for digest in digests where carriers[digest] == flight {
            carriers[digest] = nil
            for waiter in waiting.removeValue(forKey: digest) ?? [] where lacking.removeValue(forKey: waiter) != nil {
                abandoned.append(waiter)
            }
        }
        return abandoned
    }

    /// A waiter left. Its flight goes on: what was asked for ends in the store.
    public mutating func left(_ waiter: WaiterID) {
        lacking[waiter] = nil
    }
}
