// SPDX-License-Identifier: Apache-2.0

import Content

/// The hints that this agent works for: which keys to fetch next, and which are waited for. A value; `Prefetcher` acts.
struct HintBook {
    struct Hint: Hashable {
        var key: Key
        var urgent: Bool
        /// When it is needed, in the caller's seconds.
        var deadline: Double?
        /// When the hint came.
        var noted: Double
    }

    private(set) var announced: [Key: Hint] = [:]
    private var queue: [Hint] = []
    private var running: Set<Key> = []
    let countMax: Int
    let ageMax: Double
    let runningMax: Int

    init(countMax: Int, ageMax: Double, runningMax: Int) {
        self.countMax = countMax
        self.ageMax = ageMax
        self.runningMax = runningMax
    }

    /// A hint came. `exists`: its key names something already.
    ///
    /// - Returns: false where the book is full.
    mutating func note(_ hint: Hint, exists: Bool) -> Bool {
        expire(now: hint.noted)
        guard announced.count + queue.count < countMax else { return false }
        if exists { enqueue(hint) } else { announced[hint.key] = hint }
        return true
    }

    /// A key was published: a hint that waited for it is due, and one that was fetched before is due again.
    mutating func published(_ key: Key) {
        guard let hint = announced.removeValue(forKey: key) else { return }
        enqueue(hint)
    }

    /// The hints to work on now: the urgent first, then the earliest deadline, then the older.
    mutating func start() -> [Hint] {
        var started: [Hint] = []
        while running.count < runningMax, let at = queue.indices.min(by: { queue[$0].isMoreUrgent(than: queue[$1]) }) {
            let hint = queue.remove(at: at)
            guard running.insert(hint.key).inserted else { continue }
            started.append(hint)
        }
        return started
    }

    mutating func finished(_ key: Key) { running.remove(key) }

    func isAnnounced(_ key: Key) -> Bool { announced[key] != nil }

    func isWorking(_ key: Key) -> Bool { running.contains(key) || queue.contains { $0.key == key } }

    var counts: (announced: Int, queued: Int, running: Int) { (announced.count, queue.count, running.count) }

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
