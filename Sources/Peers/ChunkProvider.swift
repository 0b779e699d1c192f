// SPDX-License-Identifier: Apache-2.0

public import Chunking
public import Content
public import Storage

/// What the server asks when a peer wants chunks that are not in the store and the request's level allows to fetch.
public protocol ChunkProvider: Sendable {
    /// Brings the chunks of the request into the store, going no further than the request's level: it uses
    /// ``PeerService/sources(for:level:related:block:)`` with that level.
    ///
    /// Called with up to ``ChunkServing/groupCount`` chunks, several times at once for one request. What could not be
    /// had is told to the peer as absent, so an error here ends only this group.
    func makeAvailable(_ request: ChunkRequest) async throws

    /// A request under way has become more urgent.
    func promote(_ request: UInt64, to priority: Priority) async
}

extension ChunkProvider {
    public func promote(_ request: UInt64, to priority: Priority) async {}
}

/// A chunk from a peer, its digest checked.
public struct ReceivedChunk: Sendable {
    public let digest: Digest
    public let kind: ChunkKind
    /// Decoded.
    public let raw: [UInt8]
    /// As a store keeps it, where the peer sent it so: it needs no compression again.
    public let stored: (codec: Codec, payload: [UInt8])?

    public init(digest: Digest, kind: ChunkKind, raw: [UInt8], stored: (codec: Codec, payload: [UInt8])? = nil) {
        self.digest = digest
        self.kind = kind
        self.raw = raw
        self.stored = stored
    }
}

/// Somebody who may have chunks.
public struct Source: Hashable, Sendable {
    public enum Kind: String, Sendable {
        /// A peer of the own site that holds the object whole.
        case holder
        /// A peer of the own site that holds an object which has much in common with it.
        case relative
        /// The peer of the own site that fetches a block for all of them.
        case owner
        /// The gateway of the own site.
        case gateway
        /// The gateway of another site.
        case link
    }

    public let agent: AgentID
    public let name: String
    public let site: String
    public let address: PeerAddress
    public let kind: Kind
    /// The level to ask it at.
    public let level: FetchLevel

    public init(agent: AgentID, name: String, site: String, address: PeerAddress, kind: Kind, level: FetchLevel) {
        self.agent = agent
        self.name = name
        self.site = site
        self.address = address
        self.kind = kind
        self.level = level
    }
}
