// SPDX-License-Identifier: Apache-2.0

public import Content

/// Who an agent says that it is.
public struct Identity: Hashable, Sendable {
    /// The most bytes of a site's name: a DNS label.
    public static let siteByteCountMax = 63
    /// The most bytes of an agent's name: a DNS name.
    public static let nameByteCountMax = 253
    /// The most links of a gateway: one per site, and nobody has more sites.
    static let linksMax = 64

    public let agent: AgentID
    public let name: String
    public let site: String
    /// The port at which it listens; the host is where its calls come from.
    public let port: UInt16
    /// The sites to which it holds a link; having any makes it a gateway.
    public let links: [String]

    public init(agent: AgentID, name: String, site: String, port: UInt16, links: [String]) {
        self.agent = agent
        self.name = name
        self.site = site
        self.port = port
        self.links = links
    }

    public var isGateway: Bool { !links.isEmpty }

    func encode(into out: inout ByteWriter) {
        agent.encode(into: &out)
        out.text(name)
        out.text(site)
        out.fixed(port)
        out.count(links.count)
        for link in links { out.text(link) }
    }

    init(decoding reader: inout ByteReader) throws(ContentError) {
        let agent = try AgentID(decoding: &reader)
        let name = try reader.text(max: Identity.nameByteCountMax)
        let site = try reader.text(max: Identity.siteByteCountMax)
        let port = try reader.fixed(UInt16.self)
        let count = try reader.count(max: Identity.linksMax)
        var links: [String] = []
        for _ in 0..<count { links.append(try reader.text(max: Identity.siteByteCountMax)) }
        self.init(agent: agent, name: name, site: site, port: port, links: links)
    }
}
