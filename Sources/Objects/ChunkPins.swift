// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

/// Chunks that an ingest is about to refer to, and that nothing refers to yet: the collector keeps them.
final class ChunkPins: Sendable {
    private struct State {
        var next: UInt64 = 1
        var pinned: [UInt64: Set<Digest>] = [:]
    }

    private let state = NIOLockedValueBox(State())

    /// A new owner of pins; paired with ``end(_:)``.
    func begin() -> UInt64 {
        state.withLockedValue { state in
            defer { state.next += 1 }
            return state.next
        }
    }

    func add(_ digests: [Digest], _ owner: UInt64) {
        state.withLockedValue { $0.pinned[owner, default: []].formUnion(digests) }
    }

    /// The owner's chunks have other references now.
    func clear(_ owner: UInt64, _ digests: [Digest]) {
        state.withLockedValue { $0.pinned[owner]?.subtract(digests) }
    }

    func end(_ owner: UInt64) {
        state.withLockedValue { $0.pinned[owner] = nil }
    }

    var digests: [Digest] { state.withLockedValue { $0.pinned.values.flatMap { $0 } } }
}
