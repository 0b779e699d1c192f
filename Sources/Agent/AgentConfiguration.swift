// SPDX-License-Identifier: Apache-2.0

/// Everything that is configured about an agent: one value, from defaults, a YAML file, `LARDER_*` variables and flags,
/// in rising order. Every field but ``site`` has a default, and every limit of the agent is a field (DESIGN §12).
public struct AgentConfiguration: Hashable, Sendable {
    public struct Store: Hashable, Sendable {
        /// The directory of chunks, catalog and staging.
        public var path = "/var/lib/larder"
        /// The most that the store occupies; nil: what keeps ``freeFraction`` of the disk free.
        public var quota: ByteSize?
        /// The share of the disk that stays free: above the kubelet's image-GC threshold of 15 %.
        public var freeFraction = Percent(20)
    }

    public struct Peers: Hashable, Sendable {
        /// Agents of the same site, by address.
        public var `static`: [Endpoint] = []
        /// A DNS name of theirs, resolved again and again.
        public var dns: Endpoint?
    }

    /// Another site, and where its gateway listens; nil: it is learnt when that gateway calls here.
    public struct Link: Hashable, Sendable {
        public var site: String
        public var address: Endpoint?
    }

    public enum Access: String, Hashable, Sendable, CaseIterable {
        case readOnly = "read-only"
        case readWrite = "read-write"
    }

    /// The agent's end of TLS: PEM files.
    public struct TLS: Hashable, Sendable {
        /// The agent's certificate, then intermediate ones.
        public var certificate: String
        public var key: String
        /// The authorities whose certificates are believed.
        public var trust: [String]
    }

    /// One exposure of a namespace to the jobs of this node: a mount and a socket below ``path``.
    public struct Volume: Hashable, Sendable {
        public var name: String
        public var namespace: String
        public var path: String
        public var access: Access

        /// Where the file system is mounted.
        public var mountPath: String { "\(path)/mnt" }
        /// The control socket for jobs.
        public var socketPath: String { "\(path)/agent.sock" }
    }

    /// What is kept below a prefix: a namespace, or a directory in one. Every agent has the same rules.
    public struct Rule: Hashable, Sendable {
        public enum Destination: String, Hashable, Sendable, CaseIterable {
            /// Other sites get it when they ask or are given a hint.
            case site
            /// Other sites get it at once.
            case allSites = "all-sites"
        }
        public var prefix: String
        /// Nil: ``AgentConfiguration/copies``.
        public var copies: UInt64?
        public var to = Destination.site
        /// Given up by an agent where nobody read it for as long.
        public var unread: Duration?
        /// The newest that stay.
        public var keep: UInt64?
    }

    /// How requests that were under way when an agent died are found by its successor.
    public enum Resend: String, Hashable, Sendable, CaseIterable {
        /// The kernel sends them again where it can (Linux 6.9), otherwise they are in the holder's memory.
        case auto
        /// They are in the holder's memory.
        case off
    }

    /// The identity that owns everything in the mounts.
    public struct Owner: Hashable, Sendable {
        public var uid: UInt32 = 0
        public var gid: UInt32 = 0
    }

    public struct Log: Hashable, Sendable {
        public enum Format: String, Hashable, Sendable, CaseIterable { case json, text }
        public enum Level: String, Hashable, Sendable, CaseIterable {
            case trace, debug, info, notice, warning, error, critical
        }
        public var level = Level.info
        public var format = Format.json
    }

    public struct Limits: Hashable, Sendable {
        /// Anonymous memory: buffers and tables together.
        public var memory = ByteSize(bytes: 256 << 20)
        /// How long a read may go without a byte from anywhere before it fails.
        public var stall = Duration.seconds(60)
        /// How long a lookup waits for a key whose writer is just closing it.
        public var settle = Duration.seconds(1)
        /// The largest object.
        public var object = ByteSize(bytes: 1 << 40)
        /// The most entries of the directory: about 200 B each in the catalog.
        public var entries: UInt64 = 1_000_000
        /// How long a source keeps what a reader elsewhere has open, unless renewed.
        public var lease = Duration.seconds(86_400)
        /// The most open handles of all mounts: far above what jobs use, below what would exhaust descriptors.
        public var openFiles: UInt64 = 65_536
    }

    public var site: String
    public var name: String
    public var store = Store()
    /// Where peers and other sites reach this agent.
    public var listen = Endpoint(host: "127.0.0.1", port: 7420)
    /// Nil: agents speak plaintext.
    public var tls: TLS?
    /// The sites whose agents' certificates are accepted; nil: the own one and those of ``links``.
    public var allow: [String]?
    /// Plaintext between agents is accepted; asked for wherever one of their addresses is not loopback.
    public var insecure = false
    public var peers = Peers()
    /// Other sites. Having any makes this agent the gateway of its site.
    public var links: [Link] = []
    /// What may leave this site over all links; nil: not paced.
    public var uplink: BitRate?
    /// The share of ``uplink`` that is left unused, so that the line's own queue stays empty.
    public var headroom = Percent(3)
    public var volumes: [Volume] = []
    /// Agents of a site that hold what one of them published: itself, and one that does not go with it.
    public var copies: UInt64 = 2
    public var rules: [Rule] = []
    /// The socket of the holder that keeps the mounts (`larder hold`); nil: the agent mounts by itself, and open files
    /// end with it.
    public var hold: String?
    public var resend = Resend.auto
    public var owner = Owner()
    /// The admin socket, for root.
    public var control = "/run/larder/agent.sock"
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    public var telemetry = Endpoint(host: "127.0.0.1", port: 7421)
    public var log = Log()
    public var limits = Limits()

    /// An agent of a site with nothing but defaults.
    public init(site: String, name: String) {
        self.site = site
        self.name = name
    }

    /// The rate at which chunks may leave over links, in bytes per second: ``uplink`` without its ``headroom``.
    public var pacedUplink: UInt64? {
        uplink.map { UInt64(Double($0.bytesPerSecond) * (1 - headroom.fraction)) }
    }
}
