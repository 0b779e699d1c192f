// SPDX-License-Identifier: Apache-2.0

import Yams

extension AgentConfiguration {
    /// The effective configuration as a file that reads back to this value.
    public func yaml() throws(AgentError) -> String {
        let root = mapping([
            ("site", text(site)), ("name", text(name)),
            ("store", storeNode),
            ("listen", text(listen)), ("tls", tlsNode), ("allow", allow.map { list($0.map { text($0) }) } ?? absent),
            ("insecure", text(insecure)),
            ("peers", peersNode), ("links", linksNode),
            ("uplink", uplink.map { text($0) } ?? absent), ("headroom", text(headroom)),
            ("volumes", volumesNode),
            ("copies", text(copies)), ("rules", rulesNode),
            ("hold", hold.map { text($0) } ?? absent), ("resend", text(resend.rawValue)),
            ("owner", mapping([("uid", text(owner.uid)), ("gid", text(owner.gid))])),
            ("control", text(control)),
            ("telemetry", mapping([("listen", text(telemetry))])),
            ("log", mapping([("level", text(log.level.rawValue)), ("format", text(log.format.rawValue))])),
            ("limits", limitsNode),
        ])
        do {
            return try Yams.serialize(node: root, width: -1)
        } catch {
            throw AgentError(.configuration, "the configuration cannot be written as YAML", cause: "\(error)")
        }
    }

    private var storeNode: Node {
        mapping([
            ("path", text(store.path)), ("quota", store.quota.map { text($0) } ?? absent),
            ("freeFraction", text(store.freeFraction)),
        ])
    }

    private var tlsNode: Node {
        guard let tls else { return absent }
        return mapping([
            ("certificate", text(tls.certificate)), ("key", text(tls.key)),
            ("trust", list(tls.trust.map { text($0) })),
        ])
    }

    private var peersNode: Node {
        mapping([("static", list(peers.static.map { text($0) })), ("dns", peers.dns.map { text($0) } ?? absent)])
    }

    private var linksNode: Node {
        list(links.map { mapping([("site", text($0.site)), ("address", $0.address.map { text($0) } ?? absent)]) })
    }

    private var volumesNode: Node {
        list(
            volumes.map {
                mapping([
                    ("name", text($0.name)), ("namespace", text($0.namespace)), ("path", text($0.path)),
                    ("access", text($0.access.rawValue)),
                ])
            }
        )
    }

    private var rulesNode: Node {
        list(
            rules.map {
                mapping([
                    ("prefix", text($0.prefix)), ("copies", $0.copies.map { text($0) } ?? absent),
                    ("to", text($0.to.rawValue)), ("unread", $0.unread.map { text($0.text) } ?? absent),
                    ("keep", $0.keep.map { text($0) } ?? absent),
                ])
            }
        )
    }

    private var limitsNode: Node {
        mapping([
            ("memory", text(limits.memory)), ("stall", text(limits.stall.text)), ("settle", text(limits.settle.text)),
            ("object", text(limits.object)), ("entries", text(limits.entries)), ("lease", text(limits.lease.text)),
            ("openFiles", text(limits.openFiles)),
        ])
    }
}

private var absent: Node { Node("null") }

private func text(_ value: some CustomStringConvertible) -> Node {
    // A name that YAML would take for nothing is quoted; the reader takes every other scalar as its text.
    let string = value.description
    return Node(string, .implicit, ["", "~", "null"].contains(string) ? .singleQuoted : .any)
}

private func list(_ nodes: [Node]) -> Node { .sequence(Node.Sequence(nodes)) }

private func mapping(_ fields: [(name: String, value: Node)]) -> Node {
    .mapping(Node.Mapping(fields.map { (Node($0.name), $0.value) }))
}
