// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import NIOConcurrencyHelpers
import NIOPosix
import Peers
import Storage

/// Ends what rules and limits say has been kept for long enough.
///
/// What nobody reads is given up agent by agent, each by its own readers; the last one's giving up removes the key (P1).
/// Names beyond a number are removed for everybody, by the agent that published them, or where it is gone by one that
/// all choose alike. Keys that are pinned at the agent that acts stay.
final class Retention: Sendable {
    /// How often names beyond a rule's number are looked for, where any were published.
    static let countPeriod = Duration.seconds(1)
    /// A look takes at most this part of the time: it reads every entry below a prefix.
    static let share = 10
    /// Rules with a number are all looked at this often, in periods of ``Limits/retentionPeriod``: what was published
    /// before the rule, or by an agent that is gone, counts too.
    static let countRounds = 60
    /// At this part of the limit the oldest names go, until ``entriesLeft`` of it are there.
    static let entriesFull = 0.99
    static let entriesLeft = 0.97
    /// Objects and entries looked at, and given up, in one go.
    static let pageCount = 256
    /// Names removed after one look; the rest after the next.
    static let removedMax = 16_384

    private let rules: KeepingRules
    private let store: Store
    private let peers: PeerService
    private let open: OpenObjects
    private let collector: Collector
    private let pool: NIOThreadPool
    private let limits: Limits
    private let logger: Logger
    /// Rules with a number below whose prefix something was published since the last look.
    private let grown: NIOLockedValueBox<Set<KeepingRule>>

    init(
        rules: KeepingRules,
        store: Store,
        peers: PeerService,
        open: OpenObjects,
        collector: Collector,
        pool: NIOThreadPool,
        limits: Limits,
        logger: Logger
    ) {
        self.rules = rules
        self.store = store
        self.peers = peers
        self.open = open
        self.collector = collector
        self.pool = pool
        self.limits = limits
        self.logger = logger
        grown = NIOLockedValueBox(Set(rules.withNumber))
    }

    /// Entries that won here. Only notes them: a publication waits for this.
    func published(_ entries: [Entry]) {
        for entry in entries where !entry.isTombstone {
            let rule = rules.rule(for: entry.key)
            if rule.keep != nil { grown.withLockedValue { _ = $0.insert(rule) } }
        }
    }

    func run() async {
        var timed = ContinuousClock.now
        var rounds = 0
        var pause = min(Retention.countPeriod, limits.retentionPeriod)
        while !Task.isCancelled {
            try? await Task.sleep(for: pause)
            if Task.isCancelled { return }
            let begin = ContinuousClock.now
            await endBeyondNumbers()
            if timed + limits.retentionPeriod < begin {
                timed = begin
                rounds += 1
                if rounds.isMultiple(of: Retention.countRounds) {
                    grown.withLockedValue { $0.formUnion(rules.withNumber) }
                }
                await reporting { try await self.endUnread() }
                await reporting { try await self.endBeyondLimit() }
            }
            let took = ContinuousClock.now - begin
            pause = max(min(Retention.countPeriod, limits.retentionPeriod), took * Retention.share)
        }
    }

    private func reporting(_ body: () async throws -> Void) async {
        do {
            try await body()
        } catch is CancellationError {
            return
        } catch {
            logger.warning("what was kept for long enough was not given up", metadata: ["error": "\(error)"])
        }
    }

    private func endBeyondNumbers() async {
        let looked = grown.withLockedValue { grown in
            defer { grown = [] }
            return grown
        }
        for rule in looked {
            await reporting {
                do {
                    try await self.endBeyondNumber(rule)
                } catch {
                    self.grown.withLockedValue { _ = $0.insert(rule) }
                    throw error
                }
            }
        }
    }

    /// Removes the older objects of a rule beyond the number that it keeps.
    private func endBeyondNumber(_ rule: KeepingRule) async throws {
        guard let keep = rule.keep else { return }
        let range = rules.range(of: rule)
        let older = try await pool.runIfActive { [store] in
            try store.catalog.beyondNewest(keep, in: range, limit: Retention.removedMax)
        }
        try await remove(older, because: "\(rule.prefix) keeps \(keep)")
    }

    /// Gives up what nobody read here for as long as its rule says.
    private func endUnread() async throws {
        guard let least = rules.withTime.compactMap(\.unread).min() else { return }
        let now = WallClock.milliseconds()
        let ended = try await pool.runIfActive { [self] in try unread(least: least, now: now) }
        let count = try await collector.giveUp(ended) { [self] record in
            // Meanwhile it may have been read, or named again.
            guard let record = try store.catalog.object(record.manifest) else { return false }
            return try isOver(record, now)
        }
        if count > 0 { logger.info("given up unread", metadata: ["objects": "\(count)"]) }
        for rule in rules.withTime {
            guard let unread = rule.unread else { continue }
            let time = HybridTime(milliseconds: now - min(now, unread.milliseconds))
            let range = rules.range(of: rule)
            let inlined = try await pool.runIfActive { [store] in
                try store.catalog.inlined(before: time, in: range, limit: Retention.removedMax)
            }
            try await remove(inlined, because: "\(rule.prefix) keeps small files for \(unread)")
        }
    }

    /// The objects that are not in use and that nobody read for long enough, the longest unread first.
    private func unread(least: Duration, now: UInt64) throws -> [ObjectRecord] {
        var last: ObjectRecord?
        var ended: [ObjectRecord] = []
        while ended.count < Retention.removedMax {
            let page = try store.catalog.coldest(limit: Retention.pageCount, after: last)
            for record in page {
                guard Retention.isOver(record.readAt, least, now) else { return ended }
                if !open.contains(record.manifest), try isOver(record, now) { ended.append(record) }
            }
            guard page.count == Retention.pageCount else { return ended }
            last = page.last
        }
        return ended
    }

    /// Whether every rule of an object's keys has an end for it. One that no key names is the collector's.
    private func isOver(_ record: ObjectRecord, _ now: UInt64) throws -> Bool {
        let keys = try store.catalog.keys(of: record.manifest)
        return !keys.isEmpty
            && keys.allSatisfy { key in
                rules.rule(for: key).unread.map { Retention.isOver(record.readAt, $0, now) } ?? false
            }
    }

    private static func isOver(_ readAt: UInt64, _ unread: Duration, _ now: UInt64) -> Bool {
        readAt < now - min(now, unread.milliseconds)
    }

    /// Near the limit of names the oldest objects go.
    private func endBeyondLimit() async throws {
        let limit = limits.entryCount
        let (count, oldest) = try await pool.runIfActive { [store] in
            let count = try store.catalog.entryCount()
            guard Double(count) >= Double(limit) * Retention.entriesFull else { return (count, [Entry]()) }
            let excess = min(Retention.removedMax, count - Int(Double(limit) * Retention.entriesLeft))
            return (count, try store.catalog.oldest(limit: excess))
        }
        try await remove(oldest, because: "there are \(count) names and \(limit) may be")
    }

    private func remove(_ entries: [Entry], because reason: String) async throws {
        guard !entries.isEmpty else { return }
        let living = peers.living
        let leaving = entries.filter { isOurs($0, living) }
        for start in stride(from: 0, to: leaving.count, by: Retention.pageCount) {
            let page = leaving[start..<min(leaving.count, start + Retention.pageCount)]
            // Just above what it ends: whatever was published of the key meanwhile wins.
            _ = try await peers.directory.publish(page.map { .entry(Entry(removing: $0, by: peers.agent)) })
        }
        if !leaving.isEmpty { logger.info("removed", metadata: ["names": "\(leaving.count)", "why": "\(reason)"]) }
    }

    /// Whether this agent is the one to remove an entry: its publisher, or where that is gone the first agent of this site
    /// that may.
    private func isOurs(_ entry: Entry, _ living: Set<AgentID>) -> Bool {
        let able = peers.siteAgents(mayPublish: String(entry.key.namespace))
        guard able.contains(peers.agent) else { return false }
        if living.contains(entry.version.agent) { return entry.version.agent == peers.agent }
        return able.min() == peers.agent
    }
}

extension Duration {
    fileprivate var milliseconds: UInt64 { UInt64(max(0, self / .milliseconds(1))) }
}
