// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A claim that only the first of several gets.
final class OneShot: Sendable {
    private let claimed = Atomic(false)

    func claim() -> Bool { !claimed.exchange(true, ordering: .relaxed) }
}
