// SPDX-License-Identifier: Apache-2.0

/// What an agent must know to talk to others. Every duration and limit has a default and a reason.
public struct PeersConfiguration: Sendable {
    /// A line to another site. An agent that has links is its site's gateway.
    public struct Link: Hashable, Sendable {
        public let site: String
        /// Where that site's gateway listens; nil: it is learnt when that gateway calls here.
        public let address: PeerAddress?

        public init(site: String, address: PeerAddress?) {
            self.site = site
            self.address = address
        }
    }

    /// A name for people.
    public var name: String
    public var site: String
    /// Where to listen; port 0 takes a free one.
    public var listen: PeerAddress
    /// Agents of the own site whose addresses are known. Our own may be among them.
    public var peers: [PeerAddress]
    /// A name whose addresses are the agents of the own site.
    public var dns: PeerAddress?
    public var links: [Link]
    /// Sites whose agents' certificates are accepted; nil: the own site and those of ``links``.
    public var allow: Set<String>?
    /// Bytes per second that may leave this agent over all links; nil: not paced.
    public var uplink: Double?
    /// The part of the uplink that is left free, for acknowledgements and other people's packets.
    public var headroom = 0.03
    public var limits = Limits()

    public init(
        name: String,
        site: String,
        listen: PeerAddress = PeerAddress(host: "127.0.0.1", port: 7420),
        peers: [PeerAddress] = [],
        dns: PeerAddress? = nil,
        links: [Link] = [],
        uplink: Double? = nil
    ) {
        self.name = name
        self.site = site
        self.listen = listen
        self.peers = peers
        self.dns = dns
        self.links = links
        self.uplink = uplink
    }

    public var isGateway: Bool { !links.isEmpty }
    var allowedSites: Set<String> { allow ?? Set([site] + links.map(\.site)) }

    /// The limits of this module.
    public struct Limits: Sendable {
        /// Time between heartbeats (DESIGN §12).
        public var heartbeat: Duration = .seconds(1)
        /// Heartbeats that may be missed before an agent is given up; three: one lost packet and one slow moment.
        public var missedMax = 3
        /// How long a heartbeat or a push waits for its answer. Longer than any round trip, short enough that a cut
        /// link is noticed before its third heartbeat.
        public var answer: Duration = .seconds(2)
        /// How long a publication waits for the acknowledgements of live peers (P5).
        public var acknowledge: Duration = .seconds(1)
        /// How long the port may be somebody else's when this agent starts.
        public var bind: Duration = PortWait.predecessorLimit
        /// How often names are resolved again.
        public var resolve: Duration = .seconds(10)
        /// How long a stream may be silent. The other side says that it still works on it every ``working``.
        public var silence: Duration = .seconds(10)
        /// How often the server of a chunk request says that it still works on it.
        public var working: Duration = .seconds(3)
        /// How long a peer's word that a key settles is good (DESIGN §5).
        public var settle: Duration = .seconds(1)
        /// How often the files of certificate and key are looked at: certificates are renewed days before they end.
        public var credentials: Duration = .seconds(60)
        /// How long the namespaces of an object are remembered for its readers: as long as a lease (DESIGN §12).
        public var grant: Duration = .seconds(86_400)
        /// How long nothing may be heard of an agent, by whoever sees all sites, until it is gone for good and the keys
        /// of what only it held are removed (P1): a machine that is off over a long weekend comes back to its keys.
        public var absence: Duration = .seconds(72 * 3600)
        /// How long removals are remembered (DESIGN §8): a replica that was away for longer may keep keys that are gone.
        public var tombstone: Duration = .seconds(30 * 86_400)
        /// Chunk requests served at a time; each holds up to two batches of about 1 MiB.
        public var chunkRequestsMax = 64
        /// Digests in one chunk request: sixteen blocks of the largest size.
        public var digestsMax = 4096
        /// Publications in one push or repair answer; with ``messageByteCountMax`` what a message holds in memory.
        public var publicationsMax = 1000
        /// Bytes of publications after which a message is closed: a tenth of a second of 50 Mbit/s, so that a push over
        /// a link is answered long before it is given up.
        public var publicationByteCountMax = 512 << 10
        /// Bytes of one message that is not a stream of chunks; a thousand entries with inline bytes fit.
        public var messageByteCountMax = 8 << 20
        /// Agents that a vector may name; a thousand agents and their predecessors on nodes that are gone.
        public var agentsMax = 65_536
        /// Addresses that are called: a thousand agents (DESIGN §8).
        public var contactsMax = 1024
        /// Keys that may be settling at one time here or at peers; one more is not told.
        public var settlingMax = 10_000

        public init() {}
    }
}
