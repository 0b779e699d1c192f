// SPDX-License-Identifier: Apache-2.0

import Content

/// What a certificate says of the agent that has its key: its site, its name, and its rights.
///
/// It is written as URIs among the certificate's subject alternative names, which every issuer can set:
///
/// - `larder://SITE/AGENT`, once. AGENT is the agent's name, or `*` for any agent of the site (a certificate that all
///   pods of a DaemonSet share).
/// - `larder-namespace:NAMESPACE?rights=rw` or `…?rights=ro`, once for each namespace; `*` for every namespace.
///   Without any the agent may neither read nor publish.
public struct Authority: Hashable, Sendable {
    /// The name that stands for every agent of a site.
    public static let everyAgent = "*"
    static let agentScheme = "larder://"
    static let namespaceScheme = "larder-namespace:"

    public let site: String
    public let agent: String
    public let rights: Rights

    public init(site: String, agent: String, rights: Rights) throws(PeersError) {
        guard Authority.isName(site), site.utf8.count <= Identity.siteByteCountMax else {
            throw PeersError(.invalid, "'\(site)' is no name of a site: 1 to 63 letters, digits, '.', '_' or '-'")
        }
        guard agent == Authority.everyAgent || Authority.isName(agent), agent.utf8.count <= Identity.nameByteCountMax
        else {
            throw PeersError(.invalid, "'\(agent)' is no name of an agent: letters, digits, '.', '_' or '-', or '*'")
        }
        guard rights.access.count <= Rights.namespaceCountMax else {
            throw PeersError(.invalid, "a certificate names at most \(Rights.namespaceCountMax) namespaces")
        }
        for namespace in rights.access.keys where namespace != Rights.everyNamespace {
            do throws(ContentError) {
                try Key.check(namespace: namespace)
            } catch { throw PeersError(.invalid, error.message) }
        }
        self.site = site
        self.agent = agent
        self.rights = rights
    }

    /// The authority that URIs of a certificate state; URIs of other schemes are somebody else's.
    ///
    /// - Throws: ``PeersError`` `invalid`, with the URI that is wrong or missing.
    public init(uris: [String]) throws(PeersError) {
        var name: (site: String, agent: String)?
        var access: [String: Rights.Access] = [:]
        for uri in uris {
            if uri.hasPrefix(Authority.agentScheme) {
                let parts = uri.dropFirst(Authority.agentScheme.count).split(
                    separator: "/", omittingEmptySubsequences: false)
                guard parts.count == 2, name == nil else {
                    throw PeersError(.invalid, "'\(uri)': a certificate has one URI larder://SITE/AGENT")
                }
                name = (String(parts[0]), String(parts[1]))
            } else if uri.hasPrefix(Authority.namespaceScheme) {
                let rest = uri.dropFirst(Authority.namespaceScheme.count)
                let parts = rest.split(separator: "?rights=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, let rights = Rights.Access(rawValue: String(parts[1])) else {
                    throw PeersError(
                        .invalid, "'\(uri)': rights are written larder-namespace:NAMESPACE?rights=rw or ro")
                }
                let namespace = String(parts[0])
                // Said twice, the lesser holds.
                access[namespace] = access[namespace].map { min($0, rights) } ?? rights
            }
        }
        guard let name else {
            throw PeersError(.invalid, "the certificate has no URI larder://SITE/AGENT among its alternative names")
        }
        try self.init(site: name.site, agent: name.agent, rights: Rights(access))
    }

    /// The URIs that state it.
    public var uris: [String] {
        ["\(Authority.agentScheme)\(site)/\(agent)"]
            + rights.access.sorted { $0.key < $1.key }.map {
                "\(Authority.namespaceScheme)\($0.key)?rights=\($0.value.rawValue)"
            }
    }

    /// Whether an agent may call itself so.
    public func allows(site: String, agent: String) -> Bool {
        self.site == site && (self.agent == Authority.everyAgent || self.agent == agent)
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

extension Authority: CustomStringConvertible {
    public var description: String { "\(site)/\(agent)" }
}
