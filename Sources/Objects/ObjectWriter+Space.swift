// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Storage

extension ObjectWriter {
    /// Reserves up to `end` where that takes no waiting.
    func reserveNow(_ end: UInt64) throws(ObjectError) -> Bool {
        let (step, failure, base) = state.withLockedValue { state in
            (state.step(to: end), state.failure, state.base != nil)
        }
        if let failure { throw failure }
        if base { return false }
        guard step > 0 else { return true }
        switch cache.space.ledger.reserve(step, for: claim) {
        case .granted:
            state.withLockedValue { $0.reserved += step }
            return true
        case .evict, .refused:
            return false
        }
    }

    func reserve(_ end: UInt64) async throws {
        let (step, least, failure) = state.withLockedValue { state in
            (state.step(to: end), end - min(end, state.reserved), state.failure)
        }
        if let failure { throw failure }
        guard step > 0 else { return }
        do {
            try await cache.space.reserve(step, for: claim)
            state.withLockedValue { $0.reserved += step }
        } catch let error as ObjectError where error.code == .noSpace && least < step {
            try await cache.space.reserve(least, for: claim)
            state.withLockedValue { $0.reserved += least }
        }
    }

    /// The staging file is about to be all there is of the object.
    func detach() {
        let body = state.withLockedValue { $0.base == nil ? nil : $0.whenDetached }
        body?()
    }

    /// Fills the staging file from the version that the writer began with.
    func copyBase() async throws {
        guard state.withLockedValue({ $0.base }) != nil else { return }
        try await baseTurn.withPermit { try await copyBaseAlone() }
    }

    private func copyBaseAlone() async throws {
        // Another task may have come first, and what it copied may have been written over by now.
        guard let base = state.withLockedValue({ $0.base }) else { return }
        try await reserve(base.size)
        var at: UInt64 = 0
        while at < base.size {
            let count = Int(min(UInt64(Limits.ingestWindow), base.size - at))
            try await base.prepare(offset: at, count: count)
            let from = at
            let copied = try await cache.blocking { [buffers = cache.ingest.buffers] () -> Int in
                let buffer = try buffers.fill(count) { out in
                    try base.tryRead(at: from, into: UnsafeMutableRawBufferPointer(rebasing: out[..<count])) ?? 0
                }
                try self.staging.write(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<buffer.count]), at: from)
                return buffer.count
            }
            at += UInt64(copied)
        }
        detach()
        state.withLockedValue { state in
            guard state.base != nil else { return }
            state.base = nil
            state.frontier = base.size
        }
    }
}

extension ObjectWriter.State {
    /// How much to reserve so that `end` fits: at least what is lacking, in steps that double with the object.
    fileprivate func step(to end: UInt64) -> UInt64 {
        guard end > reserved else { return 0 }
        return max(end - reserved, min(Limits.reservationStepMax, reserved))
    }
}
