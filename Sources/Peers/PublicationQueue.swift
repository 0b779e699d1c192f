// SPDX-License-Identifier: Apache-2.0

import Content
import Dispatch
import NIOConcurrencyHelpers
import Storage

/// Our own changes on their way into the catalog: what comes while a transaction runs shares the next one, and what
/// nobody waits for may wait a little for company.
///
/// Twenty thousand small files would else be twenty thousand transactions, each with its own write to the log.
final class PublicationQueue: Sendable {
    /// How long a patient change waits for company: a hundred small files at the pace of a copy, and nothing that a
    /// person or a job would notice.
    static let gathering = DispatchTimeInterval.milliseconds(5)
    /// Groups in one transaction at most: what a reader of the log or a crash must go through at once.
    static let groupCountMax = 512

    fileprivate struct Request {
        let group: ChangeGroup
        let continuation: CheckedContinuation<[Publication]?, any Error>
    }

    fileprivate struct State {
        var waiting: [Request] = []
        /// A transaction begins at once or is under way; it takes everybody who waits by then.
        var isCommitting = false
        /// A transaction begins when the gathering is over.
        var isGathering = false
        /// Somebody in `waiting` waits for its end.
        var isUrgent = false
    }

    private let catalog: Catalog
    private let agent: AgentID
    private let state = NIOLockedValueBox(State())
    private let queue = DispatchQueue(label: "larder.publications", qos: .userInitiated)

    init(catalog: Catalog, agent: AgentID) {
        self.catalog = catalog
        self.agent = agent
    }

    /// Numbers changes and applies them.
    ///
    /// - Parameter patient: nobody waits for it in particular.
    /// - Returns: nil where a key was not as it was seen: nothing was published then.
    /// - Throws: ``StorageError``; nothing was published then either.
    func publish(_ group: ChangeGroup, patient: Bool) async throws -> [Publication]? {
        try await withCheckedThrowingContinuation { continuation in
            let (starts, gathers) = state.withLockedValue { state in
                state.waiting.append(Request(group: group, continuation: continuation))
                if !patient { state.isUrgent = true }
                return state.next()
            }
            run(starts, gathers)
        }
    }

    /// Somebody waits for what waits: it is published at once.
    func hurry() {
        let (starts, gathers) = state.withLockedValue { state -> (Bool, Bool) in
            guard !state.waiting.isEmpty else { return (false, false) }
            state.isUrgent = true
            return state.next()
        }
        run(starts, gathers)
    }

    private func run(_ starts: Bool, _ gathers: Bool) {
        if starts {
            queue.async { self.commit() }
        } else if gathers {
            queue.asyncAfter(deadline: .now() + PublicationQueue.gathering) {
                let starts = self.state.withLockedValue { state in
                    state.isGathering = false
                    guard !state.isCommitting, !state.waiting.isEmpty else { return false }
                    state.isCommitting = true
                    return true
                }
                if starts { self.commit() }
            }
        }
    }

    /// On the queue's thread, one at a time: a transaction with everybody who waits.
    private func commit() {
        let requests = state.withLockedValue { state in
            let requests = Array(state.waiting.prefix(PublicationQueue.groupCountMax))
            state.waiting.removeFirst(requests.count)
            state.isUrgent = state.isUrgent && !state.waiting.isEmpty
            return requests
        }
        commit(requests)
        let (starts, gathers) = state.withLockedValue { state in
            state.isCommitting = false
            return state.next()
        }
        run(starts, gathers)
    }

    private func commit(_ requests: [Request]) {
        do {
            let published = try catalog.publish(groups: requests.map(\.group), by: agent)
            for (request, publications) in zip(requests, published) {
                request.continuation.resume(returning: publications)
            }
        } catch {
            guard requests.count > 1 else {
                for request in requests { request.continuation.resume(throwing: error) }
                return
            }
            // One that cannot be stored must not take the others with it.
            for request in requests { commit([request]) }
        }
    }
}

extension PublicationQueue.State {
    /// What to begin now: a transaction, or a gathering that ends in one.
    fileprivate mutating func next() -> (starts: Bool, gathers: Bool) {
        guard !waiting.isEmpty, !isCommitting else { return (false, false) }
        if isUrgent || waiting.count >= PublicationQueue.groupCountMax {
            isCommitting = true
            return (true, false)
        }
        guard !isGathering else { return (false, false) }
        isGathering = true
        return (false, true)
    }
}
