// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Bounds the requests that one socket serves at once, so that their buffers stay within the memory budget (P9).
final class Admission: Sendable {
    /// The right to be served; given back when nobody refers to it any more.
    final class Permit: Sendable {
        private let admission: Admission

        fileprivate init(_ admission: Admission) { self.admission = admission }

        deinit { admission.count.withLockedValue { $0 -= 1 } }
    }

    private let count = NIOLockedValueBox(0)
    private let countMax: Int

    init(countMax: Int) { self.countMax = countMax }

    /// - Throws: ``ControlError`` `busy`: waiting would hold the connection and help nobody.
    func enter() throws(ControlError) -> Permit {
        let admitted = count.withLockedValue { count in
            guard count < countMax else { return false }
            count += 1
            return true
        }
        guard admitted else {
            throw ControlError(.busy, "\(countMax) requests are under way on this socket; try again in a moment")
        }
        return Permit(self)
    }
}
