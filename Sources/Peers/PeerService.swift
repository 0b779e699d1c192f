// SPDX-License-Identifier: Apache-2.0

// Agents talk HTTP/1.1 to each other, every one a server and a client. Words: a peer is an agent of the own site; the
// agent that is configured with links is its site's gateway and talks to the gateways of other sites.
//
// - Every second each agent calls each it knows; both sides tell who they are, what they have (a vector: per agent the
//   highest gapless publication number) and their clock. Three missed calls or a refused connection and it is dead:
//   nobody waits for it, it is still called, and alive as soon as it answers.
// - A publication is pushed at once: by its agent to its peers, by gateways onward. While a push is in flight, what
//   else is published gathers for the next, so many small publications cost few messages.
// - What a push missed, the next heartbeat shows, and the one that is behind asks the one that is ahead.
// - Chunks are asked for by digest, in batches, at a level that only falls; the answer is a stream of frames, each
//   verified before anybody sees it.
// - What leaves over links is paced and ordered by the governor.

public import Content
public import Logging
import NIOConcurrencyHelpers
public import ServiceLifecycle
public import Storage

/// Both ends of the talk between agents: server, client, heartbeats, repair.
public final class PeerService: Service, Sendable {
    public typealias HintHandler = @Sendable (Hint) async -> [HintAnswer]
    /// The manifest, for how long, and who asks; false: the object is not here.
    public typealias LeaseHandler = @Sendable (Digest, Duration, AgentID) async -> Bool

    struct State {
        var provider: (any ChunkProvider)?
        var hintHandler: HintHandler?
        var leaseHandler: LeaseHandler?
        var client: PeerClient?
        var port: Int?
        var lyingReported: Set<AgentID> = []
        var serving = 0
        var security = SecurityState()
    }

    public let configuration: PeersConfiguration
    public let directory: Directory
    public let store: Store
    /// Nil: agents speak plaintext.
    let keyring: Keyring?
    let metrics = PeersMetrics()
    let pacer: Pacer
    /// Of this store's objects, for both ends of links.
    public let shapes: ObjectShapes
    let deltaSources = DeltaSources()
    let logger: Logger
    let state = NIOLockedValueBox(State())
    let bound = Signal()
    var replicator: Replicator { directory.replicator }
    var limits: PeersConfiguration.Limits { configuration.limits }

    /// - Parameters:
    ///   - keyring: this agent's end of TLS; nil: plaintext.
    ///   - wall: milliseconds since 1970.
    /// - Throws: ``StorageError`` where the catalog cannot be read.
    public init(
        configuration: PeersConfiguration,
        store: Store,
        keyring: Keyring? = nil,
        logger: Logger,
        wall: @escaping @Sendable () -> UInt64 = WallClock.milliseconds
    ) throws(StorageError) {
        self.configuration = configuration
        self.store = store
        self.keyring = keyring
        self.logger = logger
        self.pacer = Pacer(uplink: configuration.uplink, headroom: configuration.headroom, metrics: metrics)
        self.shapes = ObjectShapes(store: store)
        try PeerService.noteRights(keyring?.current.authority.rights ?? .all, store.catalog)
        self.directory = try Directory(
            catalog: store.catalog,
            configuration: configuration,
            metrics: metrics,
            wall: wall,
            logger: logger
        )
    }

    /// The id of this agent.
    public var agent: AgentID { directory.agent }

    /// Who brings chunks that peers ask for and that are not in the store; nobody: they are told absent.
    public func setProvider(_ provider: any ChunkProvider) { state.withLockedValue { $0.provider = provider } }

    /// Who acts on hints that are meant for this site.
    public func setHintHandler(_ handler: @escaping HintHandler) { state.withLockedValue { $0.hintHandler = handler } }

    /// Who grants leases on objects of this store.
    public func setLeaseHandler(_ handler: @escaping LeaseHandler) {
        state.withLockedValue { $0.leaseHandler = handler }
    }

    /// The port at which the server listens; waits until it does.
    ///
    /// - Throws: `CancellationError`.
    public func port() async throws -> Int {
        await bound.wait()
        guard let port = state.withLockedValue({ $0.port }) else { throw CancellationError() }
        return port
    }

    /// Serves, calls and repairs until graceful shutdown or cancellation.
    public func run() async throws {
        let client = PeerClient(agent: agent, site: configuration.site, limits: limits, security: clientSecurity)
        state.withLockedValue { $0.client = client }
        let result: Result<Void, any Error>
        do {
            try await runParts()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        state.withLockedValue { $0.client = nil }
        // Its own errors (a connection that would not close) change nothing for anybody.
        try? await client.shutdown()
        try result.get()
    }

    private func runParts() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.serve() }
            group.addTask { await cancelled { await self.pacer.run() } }
            group.addTask { await cancelled { await self.keepCalling() } }
            group.addTask { await cancelled { await self.keepResolving() } }
            group.addTask { await cancelled { await self.carryOut() } }
            group.addTask { await cancelled { await self.keepRenewing() } }
            for try await _ in group {}
        }
    }

    /// The client, while the service runs.
    func client() throws(PeersError) -> PeerClient {
        guard let client = state.withLockedValue({ $0.client }) else {
            throw PeersError(.unavailable, "the peer service does not run")
        }
        return client
    }

    /// Who we are, for others.
    var identity: Identity {
        Identity(
            agent: agent,
            name: configuration.name,
            site: configuration.site,
            port: UInt16(clamping: state.withLockedValue { $0.port } ?? configuration.listen.port),
            links: configuration.links.map(\.site)
        )
    }
}

/// Runs until done, cancelled, or graceful shutdown begins.
private func cancelled(_ operation: @escaping @Sendable () async -> Void) async {
    _ = await cancelWhenGracefulShutdown { await operation() }
}
