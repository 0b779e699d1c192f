// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import NIOConcurrencyHelpers
import Peers
import Storage

/// Works for the hints that this site was given: fetches what they name, in the background, readers first.
final class Prefetcher: Sendable {
    /// Objects fetched at once: with one, a small object would wait behind a large one of the same urgency.
    static let objectsAtOnce = 2
    /// The first and the longest pause before a hint whose sources failed is tried again.
    static let retryMin = Duration.milliseconds(500)
    static let retryMax = Duration.seconds(30)
    /// A first guess of decoded bytes per byte of a link, until the link was measured: container images in zstd.
    static let ratioGuess = 2.2

    private let directory: Directory
    private let open: OpenObjects
    private let fetch: Fetch
    private let jobs: Jobs
    private let statistics: FetchStatistics
    private let linkBytesPerSecond: Double?
    private let limits: Limits
    private let logger: Logger
    private let site: String
    private let start = ContinuousClock.now
    private let book: NIOLockedValueBox<HintBook>

    init(
        site: String,
        directory: Directory,
        open: OpenObjects,
        fetch: Fetch,
        jobs: Jobs,
        statistics: FetchStatistics,
        linkBytesPerSecond: Double?,
        limits: Limits,
        logger: Logger
    ) {
        self.site = site
        self.directory = directory
        self.open = open
        self.fetch = fetch
        self.jobs = jobs
        self.statistics = statistics
        self.linkBytesPerSecond = linkBytesPerSecond
        self.limits = limits
        self.logger = logger
        book = NIOLockedValueBox(
            HintBook(
                countMax: limits.hintCount,
                ageMax: limits.hintAge / .seconds(1),
                runningMax: Prefetcher.objectsAtOnce
            )
        )
    }

    /// Takes a hint for this site and says what is missing.
    func note(_ hint: Hint) -> [HintAnswer] {
        let now = seconds()
        let wall = Double(WallClock.milliseconds())
        let answers = hint.keys.map { key -> HintAnswer in
            let noted = HintBook.Hint(
                key: key,
                urgent: hint.priority < .hinted,
                deadline: hint.deadline.map { now + (Double($0) - wall) / 1000 },
                noted: now
            )
            return note(noted)
        }
        work()
        return answers
    }

    private func note(_ hint: HintBook.Hint) -> HintAnswer {
        do {
            let entry = try directory.lookup(hint.key)
            let missing = try entry.map(missing(of:)) ?? 0
            guard entry == nil || missing > 0 else { return answer(hint.key, entry, 0) }
            guard book.withLockedValue({ $0.note(hint, exists: entry != nil) }) else {
                logger.warning("hint refused", metadata: ["key": "\(hint.key)", "remembered": "\(limits.hintCount)"])
                return answer(hint.key, entry, missing)
            }
            // A key published in between would not be announced again: look once more now that the hint is noted.
            if entry == nil, try directory.lookup(hint.key) != nil { published([hint.key]) }
            return answer(hint.key, entry, missing)
        } catch {
            logger.warning("hint failed", metadata: ["key": "\(hint.key)", "error": "\(error)"])
            return answer(hint.key, nil, 0)
        }
    }

    private func answer(_ key: Key, _ entry: Entry?, _ missing: UInt64) -> HintAnswer {
        let guess = linkBytesPerSecond.map { $0 * Prefetcher.ratioGuess }
        // A link that gave next to nothing for a while has a rate from which no time can be told.
        let rate = [statistics.linkRate, guess].compactMap { $0 }.first { $0 >= 1 }
        let seconds = rate.map { min(Double(UInt32.max), (Double(missing) / $0).rounded(.up)) }
        return HintAnswer(
            site: site,
            key: key,
            size: entry?.size,
            missing: missing,
            seconds: missing == 0 ? 0 : seconds.map { UInt32($0) }
        )
    }

    private func missing(of entry: Entry) throws -> UInt64 {
        guard let manifest = entry.manifest else { return 0 }
        let object = try open.open(manifest)
        defer { open.close(object) }
        let missing = try fetch.missing(of: object)
        return missing == UInt64.max ? entry.size : missing
    }

    /// Keys that were published: hints that waited for them are due.
    func published(_ keys: [Key]) {
        book.withLockedValue { book in
            for key in keys { book.published(key) }
        }
        work()
    }

    /// An open of this key may wait for it: a hint announced it and it does not exist.
    func isAnnounced(_ key: Key) -> Bool { book.withLockedValue { $0.isAnnounced(key, now: seconds()) } }

    func isWorking(_ key: Key) -> Bool { book.withLockedValue { $0.isWorking(key) } }

    var counts: (announced: Int, queued: Int, running: Int) { book.withLockedValue { $0.counts } }

    private func work() {
        for hint in book.withLockedValue({ $0.start() }) {
            let submitted = jobs.submit { [self] in
                if await bring(hint) {
                    book.withLockedValue { $0.finished(hint.key) }
                } else {
                    rest(hint)
                }
                work()
            }
            if !submitted { book.withLockedValue { $0.finished(hint.key) } }
        }
    }

    /// A hint whose sources failed makes room for others before it is tried again.
    private func rest(_ hint: HintBook.Hint) {
        var hint = hint
        hint.failures += 1
        guard book.withLockedValue({ $0.rest(hint, now: seconds()) }) else { return }
        let pause = min(Prefetcher.retryMax, Prefetcher.retryMin * (1 << min(hint.failures - 1, 8)))
        let key = hint.key
        let submitted = jobs.submit { [self] in
            try? await Task.sleep(for: pause)
            book.withLockedValue { $0.resume(key) }
            work()
        }
        if !submitted { book.withLockedValue { $0.resume(key) } }
    }

    /// - Returns: false where it is to be tried again.
    private func bring(_ hint: HintBook.Hint) async -> Bool {
        do {
            return try await bringOnce(hint)
        } catch is CancellationError {
            return true
        } catch let error as ObjectError where error.code == .noSpace {
            logger.warning("hint dropped", metadata: ["key": "\(hint.key)", "error": "\(error)"])
            return true
        } catch {
            logger.info("hint failed", metadata: ["key": "\(hint.key)", "error": "\(error)"])
            return false
        }
    }

    private func bringOnce(_ hint: HintBook.Hint) async throws -> Bool {
        guard let entry = try directory.lookup(hint.key), let manifest = entry.manifest else { return true }
        let object = try open.open(manifest)
        defer { open.close(object) }
        fetch.begin(object, size: entry.size)
        let begin = ContinuousClock.now
        let complete = try await fetch.bringAll(object, hint.urgent ? .deadline : .hinted) { _ in }
        logger.info(
            "hint",
            metadata: [
                "key": "\(hint.key)", "complete": "\(complete)",
                "seconds": "\((ContinuousClock.now - begin) / .seconds(1))",
            ]
        )
        return complete
    }

    private func seconds() -> Double { (ContinuousClock.now - start) / .seconds(1) }
}
