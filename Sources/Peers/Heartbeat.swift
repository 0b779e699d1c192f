// SPDX-License-Identifier: Apache-2.0

public import Content

/// What two agents tell each other every second, in both directions of one exchange.
///
/// Format: `u8` 1, identity, `u64` clock, vector, count and ids of the agents of the sender's site (gateways only),
/// count and names of the sites to which it holds a link that is up, count and texts of the keys that settle at it.
public struct Heartbeat: Sendable {
    /// Keys beyond these are not repeated in heartbeats; they were told in notices of their own.
    public static let settlingMax = 256

    public var identity: Identity
    public var clock: HybridTime
    /// Per agent the highest gapless number of its publications that the sender has.
    public var vector: [AgentID: UInt64]
    /// The agents of the sender's site, so that the other side knows which site holds an object.
    public var siteAgents: [AgentID]
    /// The sites to which the sender holds a link that is up.
    public var linksUp: [String]
    /// Keys that settle at the sender.
    public var settling: [Key]

    /// The bytes that cross the network.
    public func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: 256 + vector.count * 24)
        out.fixed(UInt8(1))
        identity.encode(into: &out)
        out.fixed(clock.rawValue)
        Vector.encode(vector, into: &out)
        out.count(siteAgents.count)
        for agent in siteAgents { agent.encode(into: &out) }
        out.count(linksUp.count)
        for link in linksUp { out.text(link) }
        out.count(min(settling.count, Heartbeat.settlingMax))
        for key in settling.prefix(Heartbeat.settlingMax) { out.text(key.text) }
        return out.bytes
    }

    public init(
        identity: Identity,
        clock: HybridTime,
        vector: [AgentID: UInt64],
        siteAgents: [AgentID],
        linksUp: [String],
        settling: [Key]
    ) {
        self.identity = identity
        self.clock = clock
        self.vector = vector
        self.siteAgents = siteAgents
        self.linksUp = linksUp
        self.settling = settling
    }

    /// - Throws: ``ContentError`` `malformed` or `unsupported`.
    public init(decoding bytes: [UInt8], limits: PeersConfiguration.Limits) throws(ContentError) {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown heartbeat format") }
        identity = try Identity(decoding: &reader)
        clock = HybridTime(rawValue: try reader.fixed())
        vector = try Vector.decode(&reader, agentsMax: limits.agentsMax)
        siteAgents = []
        for _ in 0..<(try reader.count(max: limits.contactsMax)) { siteAgents.append(try AgentID(decoding: &reader)) }
        linksUp = []
        for _ in 0..<(try reader.count(max: Identity.linksMax)) {
            linksUp.append(try reader.text(max: Identity.siteByteCountMax))
        }
        settling = []
        for _ in 0..<(try reader.count(max: Heartbeat.settlingMax)) {
            settling.append(try Key(try reader.text(max: Key.byteCountMax)))
        }
        try reader.end()
    }
}

/// The coding of a vector: a count, then for each agent its id and its number.
enum Vector {
    /// The highest number that is believed; far above what an agent can publish, far below where numbers end.
    static let numberMax: UInt64 = 1 << 56

    static func encode(_ vector: [AgentID: UInt64], into out: inout ByteWriter) {
        out.count(vector.count)
        for (agent, number) in vector {
            agent.encode(into: &out)
            out.count(number)
        }
    }

    static func decode(_ reader: inout ByteReader, agentsMax: Int) throws(ContentError) -> [AgentID: UInt64] {
        var vector: [AgentID: UInt64] = [:]
        for _ in 0..<(try reader.count(max: agentsMax)) {
            let agent = try AgentID(decoding: &reader)
            vector[agent] = try reader.count(max: Vector.numberMax)
        }
        return vector
    }
}
