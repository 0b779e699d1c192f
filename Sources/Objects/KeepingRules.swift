// SPDX-License-Identifier: Apache-2.0

public import Content
import Storage

/// How many copies the objects below a prefix have, and for how long they stay (DESIGN §5, replication and retention).
public struct KeepingRule: Sendable, Hashable {
    /// A namespace, or a directory in one: the rule is for what lies below it.
    public var prefix: String
    /// Agents of the publisher's site that hold each object, where there are as many; 1: only the publisher.
    public var copies: Int
    /// Every other site gets the object at once too, as many copies of it.
    public var toAllSites: Bool
    /// An agent gives up what nobody has read there for as long; what was too small for a store of its own counts from
    /// when it was written. Nil: only space decides.
    public var unread: Duration?
    /// The newest objects that stay; nil: all.
    public var keep: Int?

    public init(
        prefix: String,
        copies: Int = KeepingRule.copiesDefault,
        toAllSites: Bool = false,
        unread: Duration? = nil,
        keep: Int? = nil
    ) {
        self.prefix = prefix
        self.copies = copies
        self.toAllSites = toAllSites
        self.unread = unread
        self.keep = keep
    }

    /// One more than the publisher: a node may go at any moment, two at once seldom do.
    public static let copiesDefault = 2
    /// More than any site needs of one object; a site without readers should not fill its disks.
    public static let copiesMax = 16

    /// Whether this agent fetches a copy of an object now. Every agent of a site decides for itself and, knowing the
    /// same, they choose the same.
    ///
    /// - Parameters:
    ///   - site: the live agents of this site, `own` among them.
    ///   - holders: every agent that holds the object whole.
    public func wantsCopy(
        of manifest: Digest, own: AgentID, site: some Collection<AgentID>, holders: Set<AgentID>
    ) -> Bool {
        guard !holders.contains(own), !holders.isEmpty else { return false }
        let here = site.filter(holders.contains)
        guard !here.isEmpty || toAllSites else { return false }
        let lacking = copies - here.count
        guard lacking > 0 else { return false }
        let mine = (Rendezvous.weight(own, manifest), own)
        let before = site.filter { agent in
            guard agent != own, !holders.contains(agent) else { return false }
            return (Rendezvous.weight(agent, manifest), agent) < mine
        }
        return before.count < lacking
    }
}

/// All rules: the one with the longest prefix is a key's.
public struct KeepingRules: Sendable, Hashable {
    private let rules: [KeepingRule]
    private let others: KeepingRule

    /// - Parameters:
    ///   - rules: with different prefixes.
    ///   - copies: for keys below none of them.
    public init(_ rules: [KeepingRule] = [], copies: Int = KeepingRule.copiesDefault) {
        self.rules = rules.sorted { $0.prefix.utf8.count > $1.prefix.utf8.count }
        others = KeepingRule(prefix: "", copies: copies)
    }

    public func rule(for key: Key) -> KeepingRule { rules.first { key.isBelow($0.prefix) } ?? others }

    /// Those that end what nobody reads.
    var withTime: [KeepingRule] { rules.filter { $0.unread != nil } }

    /// Those that keep a number.
    var withNumber: [KeepingRule] { rules.filter { $0.keep != nil } }

    /// The keys that are a rule's: those below its prefix and below no longer one.
    func range(of rule: KeepingRule) -> KeyRange {
        KeyRange(
            prefix: rule.prefix,
            exceptions: rules.map(\.prefix).filter { $0 != rule.prefix && $0.hasPrefix(rule.prefix + "/") })
    }
}
