// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import NIOConcurrencyHelpers
import Peers
import Storage

/// Ends what rules and limits say has been kept for long enough. Pinned keys stay.
///
/// What nobody reads is given up agent by agent, each by its own readers; the last one's giving up removes the key (P1).
/// Names beyond a number are removed for everybody, by the agent that published them, or where it is gone by one that
/// all choose alike.
final class Retention: Sendable {
    /// How often names beyond a rule's number are looked for, where any were published.
    static let countPeriod = Duration.seconds(1)
    /// At this part of the limit the oldest names go, until ``entriesLeft`` of it are there.
    static let entriesFull = 0.99
    static let entriesLeft = 0.97
    /// Objects and entries looked at, and given up, in one go.
    static let pageCount = 256

    private let rules: KeepingRules
    private let store: Store
    private let peers: PeerService
    private let collector: Collector
    private let limits: Limits
    private let logger: Logger
    /// Prefixes of rules with a number below which something was published since the last look.
    private let grown = NIOLockedValueBox<Set<KeepingRule>>([])

    init(
        rules: KeepingRules, store: Store, peers: PeerService, collector: Collector, limits: Limits, logger: Logger
    ) {
        self.rules = rules
        self.store = store
        self.peers = peers
        self.collector = collector
        self.limits = limits
        self.logger = logger
    }

    /// Entries that won here. Only notes them: a publication waits for this.
    func published(_ entries: [Entry]) {
        for entry in entries {
            let rule = rules.rule(for: entry.key)
            guard rule.keep != nil, !entry.isTombstone else { continue }
            grown.withLockedValue { _ = $0.insert(rule) }
        }
    }

    func run() async {
        var timed = ContinuousClock.now
        while !Task.isCancelled {
            try? await Task.sleep(for: min(Retention.countPeriod, limits.retentionPeriod))
            if Task.isCancelled { return }
            do {
                for rule in takeGrown() { try await endBeyondNumber(rule) }
                guard timed + limits.retentionPeriod < .now else { continue }
                timed = .now
                try await endUnread()
                try await endBeyondLimit()
            } catch is CancellationError {
                return
            } catch {
                logger.warning("what was kept for long enough was not given up", metadata: ["error": "\(error)"])
            }
        }
    }

    private func takeGrown() -> Set<KeepingRule> {
        grown.withLockedValue { grown in
            defer { grown = [] }
            return grown
        }
    }

    /// Removes the older objects of a rule beyond the number that it keeps.
    private func endBeyondNumber(_ rule: KeepingRule) async throws {
        guard let keep = rule.keep else { return }
        var entries: [Entry] = []
        try forEachEntry(below: rule.prefix) { entry in
            // A longer prefix may have a rule of its own.
            if entry.isFile, rules.rule(for: entry.key) == rule { entries.append(entry) }
        }
        guard entries.count > keep else { return }
        entries.sort { $0.version > $1.version }
        try await remove(Array(entries[keep...]), because: "\(rule.prefix) keeps \(keep)")
    }

    /// Gives up what nobody read here for as long as its rule says.
    private func endUnread() async throws {
        let timed = rules.withTime
        guard let least = timed.compactMap(\.unread).min() else { return }
        let now = WallClock.milliseconds()
        var last: ObjectRecord?
        var ended: [Digest] = []
        search: while true {
            let page = try store.catalog.coldest(limit: Retention.pageCount, after: last)
            for record in page {
                guard record.readAt + least.milliseconds < now else { break search }
                let keys = try store.catalog.keys(of: record.manifest)
                if Retention.isOver(readAt: record.readAt, keys.map { rules.rule(for: $0) }, now: now) {
                    ended.append(record.manifest)
                }
            }
            guard page.count == Retention.pageCount else { break }
            last = page.last
        }
        if !ended.isEmpty {
            let count = try await collector.giveUp(ended)
            logger.info("given up unread", metadata: ["objects": "\(count)"])
        }
        for rule in timed {
            var inlined: [Entry] = []
            try forEachEntry(below: rule.prefix) { entry in
                guard entry.manifest == nil, entry.isFile, rules.rule(for: entry.key) == rule else { return }
                if Retention.isOver(readAt: entry.version.time.milliseconds, [rule], now: now) { inlined.append(entry) }
            }
            try await remove(inlined, because: "older than \(rule.prefix) keeps it")
        }
    }

    /// Whether an object last read at some time is kept no longer under any of its keys' rules; one without keys is not
    /// this module's to end.
    static func isOver(readAt: UInt64, _ rules: [KeepingRule], now: UInt64) -> Bool {
        !rules.isEmpty
            && rules.allSatisfy { rule in
                guard let unread = rule.unread else { return false }
                return readAt + unread.milliseconds < now
            }
    }

    /// Near the limit of names the oldest objects go.
    private func endBeyondLimit() async throws {
        let count = try store.catalog.entryCount()
        guard Double(count) >= Double(limits.entryCount) * Retention.entriesFull else { return }
        let excess = count - Int(Double(limits.entryCount) * Retention.entriesLeft)
        let oldest = try store.catalog.oldest(limit: excess)
        try await remove(oldest, because: "there are \(count) names and \(limits.entryCount) may be")
    }

    private func forEachEntry(below prefix: String, _ body: (Entry) -> Void) throws {
        var last: Key?
        while true {
            let page = try store.catalog.list(prefix: prefix + "/", after: last, limit: Retention.pageCount)
            page.forEach(body)
            guard page.count == Retention.pageCount else { return }
            last = page.last?.key
        }
    }

    private func remove(_ entries: [Entry], because reason: String) async throws {
        guard !entries.isEmpty else { return }
        let pinned = Set(try store.catalog.pins())
        let chosen = remover()
        let leaving = entries.filter { !pinned.contains($0.key) && chosen($0.version.agent) }
        for start in stride(from: 0, to: leaving.count, by: Retention.pageCount) {
            let page = leaving[start..<min(leaving.count, start + Retention.pageCount)]
            // Just above what it ends: whatever was published of the key meanwhile wins.
            _ = try await peers.directory.publish(page.map { .entry(Entry(removing: $0, by: peers.agent)) })
        }
        if !leaving.isEmpty { logger.info("removed", metadata: ["names": "\(leaving.count)", "why": "\(reason)"]) }
    }

    /// Whether this agent is the one to remove what an agent published.
    private func remover() -> (AgentID) -> Bool {
        let own = peers.agent
        let alive = peers.members().filter { $0.state == .alive }.compactMap(\.agent)
        let isFirst = alive.allSatisfy { own < $0 }
        return { $0 == own || isFirst && !alive.contains($0) }
    }
}

extension Duration {
    fileprivate var milliseconds: UInt64 { UInt64(max(0, self / .milliseconds(1))) }
}

extension Entry {
    /// An object or a symbolic link, not a directory.
    fileprivate var isFile: Bool {
        switch body {
        case .object, .inline, .symlink: true
        case .directory, .tombstone: false
        }
    }
}
