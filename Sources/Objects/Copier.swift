// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import NIOConcurrencyHelpers
import Peers
import Storage

/// Fetches the copies that rules ask of this agent: of what others publish at once, and of what lost a copy when an
/// agent went, after a while. Nobody is told to: every agent decides for itself (``KeepingRule/wantsCopy(of:own:site:holders:)``).
final class Copier: Sendable {
    /// Objects copied at once: with one, a small object would wait behind a large one.
    static let objectsAtOnce = 2
    /// Objects remembered until they are looked at; those beyond are found by the next round. About 10 MB.
    static let queueMax = 65_536
    /// How often the agents of the site are looked at, in parts of ``Limits/copyGrace``.
    static let periodPart = 12
    /// The longest pause between rounds that could not bring all.
    static let retryMax = Duration.seconds(3600)
    /// Entries looked at in one go.
    static let pageCount = 256

    /// The first pause before an object whose sources failed is tried again, doubled each time, and how often it is;
    /// after that the next round finds it.
    static let retryMin = Duration.milliseconds(500)
    static let attemptsMax = 6

    struct Wanted: Sendable {
        let key: Key
        let manifest: Digest
        let size: UInt64
        var attempts = 0
    }

    private struct State {
        var queue: [Wanted] = []
        var running = 0
        /// Something was left out: a round has to find it.
        var isRoundDue = true
    }

    private let rules: KeepingRules
    private let catalog: Catalog
    private let peers: PeerService
    private let open: OpenObjects
    private let fetch: Fetch
    private let jobs: Jobs
    private let space: SpaceLedger
    private let grace: Duration
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    init(
        rules: KeepingRules,
        store: Store,
        peers: PeerService,
        open: OpenObjects,
        fetch: Fetch,
        jobs: Jobs,
        grace: Duration,
        logger: Logger
    ) {
        self.rules = rules
        catalog = store.catalog
        self.peers = peers
        self.open = open
        self.fetch = fetch
        self.jobs = jobs
        space = store.space
        self.grace = grace
        self.logger = logger
    }

    /// Entries that won here. Only notes them: a publication waits for this.
    func published(_ entries: [Entry]) {
        let own = peers.agent
        let wanted = entries.compactMap { entry -> Wanted? in
            guard entry.version.agent != own, let manifest = entry.manifest else { return nil }
            let rule = rules.rule(for: entry.key)
            guard rule.copies > 1 || rule.toAllSites else { return nil }
            return Wanted(key: entry.key, manifest: manifest, size: entry.size)
        }
        guard !wanted.isEmpty else { return }
        state.withLockedValue { state in
            state.queue.append(contentsOf: wanted.prefix(Copier.queueMax - min(Copier.queueMax, state.queue.count)))
            if state.queue.count == Copier.queueMax { state.isRoundDue = true }
        }
        work()
    }

    private func work() {
        while let batch = next() {
            let submitted = jobs.submit { [self] in
                let site = siteAgents()
                for wanted in batch where isWanted(wanted, by: site) {
                    if await !bring(wanted) { again(wanted) }
                }
                state.withLockedValue { $0.running -= 1 }
                work()
            }
            guard submitted else { return state.withLockedValue { $0.running -= 1 } }
        }
    }

    private func again(_ wanted: Wanted) {
        var wanted = wanted
        wanted.attempts += 1
        guard wanted.attempts < Copier.attemptsMax else { return state.withLockedValue { $0.isRoundDue = true } }
        let (pause, next) = (Copier.retryMin * (1 << (wanted.attempts - 1)), wanted)
        _ = jobs.submit { [self] in
            try? await Task.sleep(for: pause)
            state.withLockedValue { $0.queue.append(next) }
            work()
        }
    }

    /// What the next worker looks at: a part of the queue, so that the site is not looked at for every small object.
    private func next() -> [Wanted]? {
        state.withLockedValue { state in
            guard state.running < Copier.objectsAtOnce, !state.queue.isEmpty else { return nil }
            state.running += 1
            let batch = Array(state.queue.prefix(Copier.objectsAtOnce * 8))
            state.queue.removeFirst(batch.count)
            return batch
        }
    }

    /// Replaces lost copies, whenever the agents of the site have changed and then stayed the same for a while.
    func run() async {
        var site: Set<AgentID> = []
        var since = ContinuousClock.now
        var pause = grace
        while !Task.isCancelled {
            try? await Task.sleep(for: grace / Copier.periodPart)
            let now = Set(siteAgents())
            if now != site {
                (site, since, pause) = (now, .now, grace)
                state.withLockedValue { $0.isRoundDue = true }
            }
            guard since + pause < .now, takeRound() else { continue }
            if await round() {
                pause = grace
            } else {
                (since, pause) = (.now, min(pause * 2, Copier.retryMax))
                state.withLockedValue { $0.isRoundDue = true }
            }
        }
    }

    private func takeRound() -> Bool {
        state.withLockedValue { state in
            defer { state.isRoundDue = false }
            return state.isRoundDue
        }
    }

    /// Looks at every entry.
    ///
    /// - Returns: false where something could not be brought.
    private func round() async -> Bool {
        var last: Key?
        var isComplete = true
        do {
            while !Task.isCancelled {
                let page = try catalog.list(prefix: "", after: last, limit: Copier.pageCount)
                let site = siteAgents()
                for entry in page {
                    guard let manifest = entry.manifest else { continue }
                    let wanted = Wanted(key: entry.key, manifest: manifest, size: entry.size)
                    // What was given up for want of space is not fetched again, nor anything evicted for a second copy.
                    guard isWanted(wanted, by: site), try !catalog.hasGivenUp(manifest), wanted.size <= space.freeBytes
                    else { continue }
                    isComplete = await bring(wanted) && isComplete
                }
                guard page.count == Copier.pageCount else { break }
                last = page.last?.key
                await Task.yield()
            }
        } catch {
            logger.warning("copies not looked for", metadata: ["error": "\(error)"])
            return false
        }
        return isComplete
    }

    /// The live agents of this site, this one among them.
    private func siteAgents() -> [AgentID] {
        let site = peers.configuration.site
        return [peers.agent]
            + peers.members().compactMap { $0.site == site && $0.state == .alive ? $0.agent : nil }
    }

    private func isWanted(_ wanted: Wanted, by site: [AgentID]) -> Bool {
        do {
            let holders = Set(try catalog.holders(of: wanted.manifest))
            return rules.rule(for: wanted.key)
                .wantsCopy(of: wanted.manifest, own: peers.agent, site: site, holders: holders)
        } catch {
            logger.warning("copy not looked for", metadata: ["key": "\(wanted.key)", "error": "\(error)"])
            return false
        }
    }

    /// - Returns: false where it is to be tried again.
    private func bring(_ wanted: Wanted) async -> Bool {
        do {
            let object = try open.open(wanted.manifest)
            defer { open.close(object) }
            fetch.begin(object, size: wanted.size)
            let isComplete = try await fetch.bringAll(object, .replication) { _ in }
            logger.debug("copy", metadata: ["key": "\(wanted.key)", "complete": "\(isComplete)"])
            return isComplete
        } catch let error as ObjectError where error.code == .noSpace {
            logger.info("no room for a copy", metadata: ["key": "\(wanted.key)", "error": "\(error)"])
            return true
        } catch {
            logger.info("copy failed", metadata: ["key": "\(wanted.key)", "error": "\(error)"])
            return false
        }
    }
}
