// SPDX-License-Identifier: Apache-2.0

public import Content

/// The hints that this agent works for: which keys to fetch next, and which are waited for. A value; `Prefetcher` acts.
public struct HintBook: Sendable {
    /// One key that will be read soon.
    public struct Hint: Hashable, Sendable {
        public var key: Key
        /// Goes before those that are not.
        public var urgent: Bool
        /// When it is needed, in the caller's seconds.
        public var deadline: Double?
        /// When the hint came.
        public var noted: Double
        /// How often the work on it failed.
        public var failures = 0

        public init(key: Key, urgent: Bool, deadline: Double?, noted: Double) {
            self.key = key
            self.urgent = urgent
            self.deadline = deadline
            self.noted = noted
        }
    }

    /// Hints whose key names nothing yet.
    private var announced: [Key: Hint] = [:]
    /// Hints to work on.
    private var queue: [Key: Hint] = [:]
    /// Hints whose work failed, until they are tried again.
    private var resting: [Key: Hint] = [:]
    private var running: Set<Key> = []
    private var expired = 0.0
    private let countMax: Int
    private let ageMax: Double
    private let runningMax: Int

    /// - Parameters:
    ///   - countMax: hints remembered at once.
    ///   - ageMax: seconds for which one is remembered.
    ///   - runningMax: hints worked on at once.
    public init(countMax: Int, ageMax: Double, runningMax: Int) {
        self.countMax = countMax
        self.ageMax = ageMax
        self.runningMax = runningMax
    }

    /// A hint came. `exists`: its key names something already.
    ///
    /// - Returns: false where the book is full.
    public mutating func note(_ hint: Hint, exists: Bool) -> Bool {
        // Seldom, and where room is needed: it looks at all of them.
        if count >= countMax || hint.noted - expired > HintBook.expiryPeriod { expire(now: hint.noted) }
        let isKnown = announced[hint.key] != nil || queue[hint.key] != nil
        guard isKnown || count < countMax else { return false }
        if exists { enqueue(hint) } else { announced[hint.key] = hint }
        return true
    }

    /// Hints remembered: those that are worked on just now are not among them.
    private var count: Int { announced.count + queue.count + resting.count }

    /// A key was published: a hint that waited for it is due, and one that was fetched before is due again.
    public mutating func published(_ key: Key) {
        guard let hint = announced.removeValue(forKey: key) else { return }
        enqueue(hint)
    }

    /// The hints to work on now: the urgent first, then the earliest deadline, then the older.
    public mutating func start() -> [Hint] {
        var started: [Hint] = []
        while running.count < runningMax {
            let due = queue.values.filter { !running.contains($0.key) }
            guard let hint = due.min(by: { $0.isMoreUrgent(than: $1) }) else { break }
            queue[hint.key] = nil
            running.insert(hint.key)
            started.append(hint)
        }
        return started
    }

    /// The work on a hint failed: it leaves its place to others until ``resume(_:)``.
    ///
    /// - Returns: false where it is older than a hint may be, and forgotten.
    public mutating func rest(_ hint: Hint, now: Double) -> Bool {
        running.remove(hint.key)
        guard now - hint.noted < ageMax else { return false }
        resting[hint.key] = hint
        return true
    }

    /// A hint that rested is due again.
    public mutating func resume(_ key: Key) {
        guard let hint = resting.removeValue(forKey: key) else { return }
        enqueue(hint)
    }

    /// The work on a hint is over.
    public mutating func finished(_ key: Key) { running.remove(key) }

    /// A hint waits for this key.
    public func isAnnounced(_ key: Key, now: Double) -> Bool {
        announced[key].map { now - $0.noted < ageMax } ?? false
    }

    /// The key is fetched, or will be.
    public func isWorking(_ key: Key) -> Bool { running.contains(key) || queue[key] != nil || resting[key] != nil }

    /// Hints by what they wait for.
    public var counts: (announced: Int, queued: Int, running: Int) {
        (announced.count, queue.count + resting.count, running.count)
    }

    private mutating func enqueue(_ hint: Hint) {
        announced[hint.key] = nil
        if let known = queue[hint.key], !hint.isMoreUrgent(than: known) { return }
        queue[hint.key] = hint
    }

    /// How often old hints are looked for, in the caller's seconds.
    private static let expiryPeriod = 60.0

    private mutating func expire(now: Double) {
        expired = now
        announced = announced.filter { now - $0.value.noted < ageMax }
        queue = queue.filter { now - $0.value.noted < ageMax }
    }
}

extension HintBook.Hint {
    func isMoreUrgent(than other: HintBook.Hint) -> Bool {
        let mine = (urgent ? 0 : 1, deadline ?? .infinity, noted)
        let others = (other.urgent ? 0 : 1, other.deadline ?? .infinity, other.noted)
        return mine < others
    }
}
