// SPDX-License-Identifier: Apache-2.0

import Content
import Storage

/// One agent's copy of the directory, as the protocol between agents sees it: the part of ``Catalog`` that must have
/// the same rules in memory, where a simulation with fifty agents can afford it. ``ReplicaConformanceTests`` runs both.
protocol Replica: AnyObject {
    var agent: AgentID { get }
    /// The highest number of ours when it was opened.
    var recoveredNumber: UInt64 { get }

    /// The process ended and begins again.
    func reopen() throws
    func publish(_ changes: [Publication.Change]) throws -> [Publication]
    /// - Returns: the entries that won.
    func apply(_ publications: [Publication], spans: [AgentID: PublicationSpan]) throws -> [Entry]
    func vector() throws -> [AgentID: UInt64]
    func publications(
        of agent: AgentID, after: UInt64, limit: Int
    ) throws -> (publications: [Publication], upTo: UInt64)
    func entry(_ key: Key) throws -> Entry?
    /// The keys whose live entry names a manifest, in order.
    func keys(of manifest: Digest) throws -> [Key]
    func holders(of manifest: Digest) throws -> [AgentID]
    /// Whether the agent held an object and gave it up.
    func hasGivenUp(_ manifest: Digest) throws -> Bool
    /// Objects that live keys name and that none but these agents hold, in order.
    func objects(heldOnlyBy agents: Set<AgentID>) throws -> [Digest]
    /// Gives the next number to nothing, and returns it.
    func skipNumber() throws -> UInt64
    func clock() throws -> HybridTime
}

/// The real catalog.
final class CatalogReplica: Replica {
    private let open: () throws -> Catalog
    private var catalog: Catalog

    init(_ open: @escaping () throws -> Catalog) throws {
        self.open = open
        catalog = try open()
    }

    var agent: AgentID { catalog.agent }
    var recoveredNumber: UInt64 { catalog.recoveredNumber }

    func reopen() throws {
        try catalog.close()
        catalog = try open()
    }

    func publish(_ changes: [Publication.Change]) throws -> [Publication] { try catalog.publish(changes, by: agent) }

    func apply(_ publications: [Publication], spans: [AgentID: PublicationSpan]) throws -> [Entry] {
        try catalog.apply(publications, spans: spans).won
    }

    func vector() throws -> [AgentID: UInt64] { try catalog.vector() }

    func publications(
        of agent: AgentID, after: UInt64, limit: Int
    ) throws -> (publications: [Publication], upTo: UInt64) {
        try catalog.publications(of: agent, after: after, limit: limit)
    }

    func entry(_ key: Key) throws -> Entry? { try catalog.entry(key) }
    func keys(of manifest: Digest) throws -> [Key] { try catalog.keys(of: manifest).sorted() }
    func holders(of manifest: Digest) throws -> [AgentID] { try catalog.holders(of: manifest) }
    func hasGivenUp(_ manifest: Digest) throws -> Bool { try catalog.hasGivenUp(manifest) }
    func objects(heldOnlyBy agents: Set<AgentID>) throws -> [Digest] {
        try catalog.objects(heldOnlyBy: agents, limit: .max)
    }
    func skipNumber() throws -> UInt64 { try catalog.skipNumber(of: agent) }
    func clock() throws -> HybridTime { try catalog.clock() }
}
