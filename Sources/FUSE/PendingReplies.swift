// SPDX-License-Identifier: Apache-2.0

/// The requests that tasks answer later, and those tasks.
///
/// libfuse may call an interrupt function after its request was answered and freed, so what it gets is no pointer but a
/// token: one that is no longer current finds nothing.
final class PendingReplies: Sendable {
    /// A request of 1 MiB each would be 4 GiB of writers' pages in the kernel; past it callers get EAGAIN rather than
    /// this process running out of memory for tasks. Four times the kernel's own queue of read-aheads (512) and some
    /// thousand blocked processes fit.
    static let countMax = 4096

    /// Which request: the place it has and how often that place was given.
    struct Token: Sendable {
        fileprivate let index: Int
        fileprivate let generation: Int

        /// As the data of an interrupt function, never nil.
        var pointer: UnsafeMutableRawPointer? {
            UnsafeMutableRawPointer(bitPattern: (generation & 0x7fff_ffff_ffff) << 13 | index << 1 | 1)
        }

        fileprivate init(index: Int, generation: Int) {
            self.index = index
            self.generation = generation
        }

        init(_ pointer: UnsafeMutableRawPointer) {
            let bits = Int(bitPattern: pointer)
            index = bits >> 1 & 0xfff
            generation = bits >> 13
        }
    }

    fileprivate struct Place {
        var generation = 0
        /// Nil while the place is free, is being taken, or its answer is being sent.
        var request: KernelRequest?
        var task: Task<Void, Never>?
        var interrupted = false
        /// Where a held mount's memory keeps the request.
        var head: Int?
    }

    fileprivate struct State {
        var places: [Place] = []
        var free: [Int] = []
        var count = 0
        var closed = false
    }

    private let state = Monitor(State())

    /// Takes a place, whose request follows by `fill`; nil if there is none.
    func reserve() -> Token? {
        state.withLock { state in
            let index: Int
            if let last = state.free.popLast() {
                index = last
            } else if state.places.count < Self.countMax {
                index = state.places.count
                state.places.append(Place())
            } else {
                return nil
            }
            state.count += 1
            return Token(index: index, generation: state.places[index].generation)
        }
    }

    /// Puts the request into its place: from here on it may be answered. False if the session is ending; then the place
    /// is free again.
    func fill(_ token: Token, with request: KernelRequest, head: Int? = nil) -> Bool {
        state.change { state in
            if state.closed {
                _ = state.free(token.index)
                return false
            }
            state.places[token.index].request = request
            state.places[token.index].head = head
            return true
        }
    }

    /// Notes the task that will answer; it is cancelled at once if the request was interrupted meanwhile.
    func attach(_ task: Task<Void, Never>, to token: Token) {
        let cancel = state.withLock { state in
            // The task may have answered already, or the session may have ended.
            guard state.isWaiting(token) else { return state.closed }
            state.places[token.index].task = task
            return state.places[token.index].interrupted
        }
        if cancel { task.cancel() }
    }

    /// The caller of the request got a signal.
    func interrupt(_ token: Token) {
        let task: Task<Void, Never>? = state.withLock { state in
            guard state.isTaken(token) else { return nil }
            state.places[token.index].interrupted = true
            return state.places[token.index].task
        }
        task?.cancel()
    }

    /// The request, to be answered now; nil if the session ended. `finish` must follow.
    func claim(_ token: Token) -> (request: KernelRequest, head: Int?)? {
        state.withLock { state in
            guard state.isWaiting(token), let request = state.places[token.index].request.take() else { return nil }
            return (request, state.places[token.index].head)
        }
    }

    /// Waits, at most for so many milliseconds, until nothing is pending, and lets nothing be answered after that: a
    /// successor will. Returns whether nothing was left to it.
    func leave(milliseconds: Int) -> Bool {
        _ = state.wait(milliseconds: milliseconds) { $0.count == 0 }
        let left = state.withLock { state in
            state.closed = true
            for index in state.places.indices { state.places[index].request = nil }
            return state.count
        }
        return left == 0
    }

    /// The answer was sent: the place is free.
    func finish(_ token: Token) {
        let task: Task<Void, Never>? = state.change { $0.free(token.index) }
        // Its last reference may be this one; what the task holds must not be released under the lock.
        _ = consume task
    }

    /// Cancels every task, answers every request with `error`, and waits for those that are being put into their place
    /// and for answers that are being sent. From then on nothing can be put into a place.
    func close(_ error: Errno) {
        let tasks = state.withLock { state in
            state.closed = true
            return state.places.compactMap(\.task)
        }
        for task in tasks { task.cancel() }
        let requests = state.withLock { state in
            state.places.indices.compactMap { index in
                state.places[index].request.take().map { (index, $0) }
            }
        }
        for (index, request) in requests {
            _ = request.error(error)
            let task = state.change { $0.free(index) }
            _ = consume task
        }
        state.wait { $0.count == 0 }
    }
}

extension PendingReplies.State {
    fileprivate func isTaken(_ token: PendingReplies.Token) -> Bool {
        places.indices.contains(token.index) && places[token.index].generation == token.generation
    }

    fileprivate func isWaiting(_ token: PendingReplies.Token) -> Bool {
        isTaken(token) && places[token.index].request != nil
    }

    fileprivate mutating func free(_ index: Int) -> Task<Void, Never>? {
        let task = places[index].task.take()
        places[index].interrupted = false
        places[index].head = nil
        places[index].generation += 1
        free.append(index)
        count -= 1
        return task
    }
}
