// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Storage

/// The objects that are in use, by manifest: what readers and prefetches have open, what writers are about to name,
/// what was promised to readers elsewhere. The collector leaves them alone.
final class OpenObjects: Sendable {
    private struct State {
        var open: [Digest: (object: OpenObject, holders: Int)] = [:]
        var kept: [Digest: Int] = [:]
        /// What is being given up just now, and who waits for the end of that.
        var leaving: [Digest: [CheckedContinuation<Void, Never>]] = [:]
    }

    private let store: Store
    private let state = NIOLockedValueBox(State())

    init(store: Store) { self.store = store }

    /// The shared object of a manifest; every call is paired with one of ``close(_:)``.
    func open(_ manifest: Digest) throws(StorageError) -> OpenObject {
        if let object = hold(manifest) { return object }
        let whole = try store.catalog.object(manifest)?.isWhole ?? false
        return state.withLockedValue { state in
            if let open = state.open[manifest] {
                state.open[manifest]?.holders += 1
                return open.object
            }
            let object = OpenObject(manifest: manifest, whole: whole, store: store)
            state.open[manifest] = (object, 1)
            return object
        }
    }

    private func hold(_ manifest: Digest) -> OpenObject? {
        state.withLockedValue { state in
            guard let open = state.open[manifest] else { return nil }
            state.open[manifest]?.holders += 1
            return open.object
        }
    }

    func close(_ object: OpenObject) {
        state.withLockedValue { state in
            guard let open = state.open[object.manifest] else { return }
            state.open[object.manifest] = open.holders > 1 ? (open.object, open.holders - 1) : nil
        }
    }

    /// Whether this very object is open, not a later one of the same manifest.
    func isOpen(_ object: OpenObject) -> Bool { state.withLockedValue { $0.open[object.manifest]?.object === object } }

    /// Whether an object is in use.
    func contains(_ manifest: Digest) -> Bool {
        state.withLockedValue { $0.open[manifest] != nil || $0.kept[manifest] != nil }
    }

    /// Objects that readers and prefetches have open.
    var openCount: Int { state.withLockedValue { $0.open.count } }

    /// The manifests of all that is in use.
    var manifests: [Digest] { state.withLockedValue { Array($0.open.keys) + Array($0.kept.keys) } }

    /// Keeps an object while `body` gives it a name: from its record to its publication nothing else refers to it.
    ///
    /// Where the collector is giving up an equal one, this waits for the end of that: it takes as long as a publication.
    func keeping<R>(_ manifest: Digest, _ body: () async throws -> R) async rethrows -> R {
        try await keeping([manifest], body)
    }

    /// The same for several.
    func keeping<R>(_ manifests: [Digest], _ body: () async throws -> R) async rethrows -> R {
        for manifest in manifests { keep(manifest) }
        defer { for manifest in manifests { release(manifest) } }
        for manifest in manifests { await untilLeft(manifest) }
        return try await body()
    }

    private func untilLeft(_ manifest: Digest) async {
        await withCheckedContinuation { continuation in
            let now = state.withLockedValue { state in
                guard state.leaving[manifest] != nil else { return true }
                state.leaving[manifest]?.append(continuation)
                return false
            }
            if now { continuation.resume() }
        }
    }

    /// Keeps an object until as many calls of ``release(_:)``.
    func keep(_ manifest: Digest) { state.withLockedValue { $0.kept[manifest, default: 0] += 1 } }

    func release(_ manifest: Digest) {
        state.withLockedValue { state in
            guard let count = state.kept[manifest] else { return }
            state.kept[manifest] = count > 1 ? count - 1 : nil
        }
    }

    /// Begins to give up an object; paired with ``endLeaving(_:)``.
    ///
    /// - Returns: false where it is in use.
    func beginLeaving(_ manifest: Digest) -> Bool {
        state.withLockedValue { state in
            guard state.open[manifest] == nil, state.kept[manifest] == nil, state.leaving[manifest] == nil else {
                return false
            }
            state.leaving[manifest] = []
            return true
        }
    }

    func endLeaving(_ manifest: Digest) {
        let waiters = state.withLockedValue { $0.leaving.removeValue(forKey: manifest) }
        for waiter in waiters ?? [] { waiter.resume() }
    }
}
