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
    /// Small objects that one worker takes at once, so that the site is not looked at for each.
    static let batchMax = 16
    static let smallByteCount: UInt64 = 1 << 20
    /// Objects remembered until they are looked at; those beyond are found by the next round. A few MB.
    static let queueMax = 16_384
    /// An object beyond this part of the quota is not copied here: it would push out too much that somebody reads.
    static let quotaPart: UInt64 = 4
    /// How often the agents of the site are looked at, in parts of ``Limits/copyGrace``.
    static let periodPart = 12
    /// The longest pause between rounds that could not bring all.
    static let retryMax = Duration.seconds(600)
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
        /// Objects that wait until they are tried again.
        var resting = 0
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
            if state.queue.count >= Copier.queueMax { state.isRoundDue = true }
        }
        work()
    }

    private func work() {
        while let batch = next() {
            let submitted = jobs.submit { [self] in
                for wanted in batch where isWanted(wanted) {
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
        let (pause, next) = (Copier.retryMin * (1 << (wanted.attempts - 1)), wanted)
        let isRemembered = state.withLockedValue { state in
            let isRemembered =
                wanted.attempts < Copier.attemptsMax && state.resting + state.queue.count < Copier.queueMax
            if isRemembered { state.resting += 1 } else { state.isRoundDue = true }
            return isRemembered
        }
        guard isRemembered else { return }
        _ = jobs.submit { [self] in
            try? await Task.sleep(for: pause)
            state.withLockedValue { state in
                state.resting -= 1
                state.queue.append(next)
            }
            work()
        }
    }

    /// What the next worker takes: some small objects, or one.
    private func next() -> [Wanted]? {
        state.withLockedValue { state in
            guard state.running < Copier.objectsAtOnce, !state.queue.isEmpty else { return nil }
            state.running += 1
            let small = state.queue.prefix(Copier.batchMax).prefix { $0.size <= Copier.smallByteCount }
            let batch = Array(state.queue.prefix(max(1, small.count)))
            state.queue.removeFirst(batch.count)
            return batch
        }
    }

    /// Replaces lost copies, whenever the agents that are known have changed and then stayed the same for a while.
    func run() async {
        var living: Set<AgentID> = []
        var since = ContinuousClock.now
        var pause = grace
        while !Task.isCancelled {
            try? await Task.sleep(for: grace / Copier.periodPart)
            let now = peers.living
            if now != living {
                (living, since, pause) = (now, .now, grace)
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
                for entry in page {
                    guard let manifest = entry.manifest else { continue }
                    let wanted = Wanted(key: entry.key, manifest: manifest, size: entry.size)
                    // What was given up for want of space is not fetched again, nor anything evicted for a second copy.
                    guard isWanted(wanted), try !catalog.hasGivenUp(manifest), wanted.size <= space.freeBytes
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

    /// Whether a copy is this agent's to make, by what is known now.
    private func isWanted(_ wanted: Wanted) -> Bool {
        guard wanted.size <= space.quotaBytes / Copier.quotaPart else { return false }
        do {
            guard try catalog.entry(wanted.key)?.manifest == wanted.manifest else { return false }
            let holders = Set(try catalog.holders(of: wanted.manifest))
            // Who may not read the namespace knows of no entry in it, and makes no copy.
            let site = peers.siteAgents(mayRead: String(wanted.key.namespace))
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
