// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

/// New chunks that are under way over links, by what is known of their digests: what two objects, or two readers, both
/// lack crosses once.
final class ChunkClaims: Sendable {
    typealias Name = BlockAssembly.Name

    private let claims = NIOLockedValueBox<[Name: Completion]>([:])

    /// Claims a chunk.
    ///
    /// - Returns: nil where it is the caller's now; else what is set when the other has it, or gave up.
    func claim(_ name: Name, _ completion: Completion) -> Completion? {
        claims.withLockedValue { claims in
            if let other = claims[name], other !== completion { return other }
            claims[name] = completion
            return nil
        }
    }

    func release(_ names: some Sequence<Name>, _ completion: Completion) {
        claims.withLockedValue { claims in
            for name in names where claims[name] === completion { claims[name] = nil }
        }
        completion.complete()
    }
}
