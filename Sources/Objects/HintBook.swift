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

        public init(key: Key, urgent: Bool, deadline: Double?, noted: Double) {
            self.key = key
            self.urgent = urgent
            self.deadline = deadline
            self.noted = noted
        }
    }

    /// Hints whose key names nothing yet.
    public private(set) var announced: [Key: Hint] = [:]
    private var queue: [Hint] = []
    private var running: Set<Key> = []
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
        expire(now: hint.noted)
        guard announced.count + queue.count < countMax else { return false }
        if exists { enqueue(hint) } else { announced[hint.key] = hint }
        return true
    }

    /// A key was published: a hint that waited for it is due, and one that was fetched before is due again.
    public mutating func published(_ key: Key) {
        guard let hint = announced.removeValue(forKey: key) else { return }
        enqueue(hint)
    }

    /// The hints to work on now: the urgent first, then the earliest deadline, then the older.
    public mutating func start() -> [Hint] {
        var started: [Hint] = []
        while running.count < runningMax, let at = queue.indices.min(by: { queue[$0].isMoreUrgent(than: queue[$1]) }) {
            let hint = queue.remove(at: at)
            guard running.insert(hint.key).inserted else { continue }
            started.append(hint)
        }
        return started
    }

    /// The work on a hint is over.
    public mutating func finished(_ key: Key) { running.remove(key) }

    /// A hint waits for this key.
    public func isAnnounced(_ key: Key) -> Bool { announced[key] != nil }

    /// The key is fetched, or will be next.
    public func isWorking(_ key: Key) -> Bool { running.contains(key) || queue.contains { $0.key == key } }

    /// Hints by what they wait for.
    public var counts: (announced: Int, queued: Int, running: Int) { (announced.count, queue.count, running.count) }

    private mutating func enqueue(_ hint: Hint) {
        if let at = queue.firstIndex(where: { $0.key == hint.key }) {
            if hint.isMoreUrgent(than: queue[at]) { queue[at] = hint }
        } else {
            queue.append(hint)
        }
    }

    private mutating func expire(now: Double) {
        announced = announced.filter { now - $0.value.noted < ageMax }
    }
}

extension HintBook.Hint {
    func isMoreUrgent(than other: HintBook.Hint) -> Bool {
        let mine = (urgent ? 0 : 1, deadline ?? .infinity, noted)
        let others = (other.urgent ? 0 : 1, other.deadline ?? .infinity, other.noted)
        return mine < others
    }
}
