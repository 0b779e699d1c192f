// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Memory for the windows of ingests. A few whole windows are kept for the next: fresh pages cost as much as reading into
/// them does.
final class WindowBuffers: Sendable {
    private let kept: Int
    // Safety: memory in this list belongs to no buffer.
    private nonisolated(unsafe) let free = NIOLockedValueBox<[UnsafeMutableRawBufferPointer]>([])

    /// - Parameter kept: how many whole windows may lie here unused.
    init(kept: Int) {
        self.kept = kept
    }

    deinit { drain() }

    /// A buffer of at least `count` bytes, at most a window's, filled by `read`, which says how many it wrote.
    func fill(_ count: Int, _ read: (UnsafeMutableRawBufferPointer) throws -> Int) throws -> WindowBuffer {
        let isWhole = count == Limits.ingestWindow
        let memory =
            (isWhole ? free.withLockedValue { $0.popLast() } : nil)
            ?? .allocate(byteCount: max(1, count), alignment: 64)
        do {
            return WindowBuffer(memory, count: try read(memory), of: isWhole ? self : nil)
        } catch {
            memory.deallocate()
            throw error
        }
    }

    /// Frees what is kept.
    func drain() {
        // Safety: taken out of the list, so nobody else has it.
        nonisolated(unsafe) let unused = free.withLockedValue { list in
            defer { list = [] }
            return list
        }
        for memory in unused { memory.deallocate() }
    }

    fileprivate func giveBack(_ memory: UnsafeMutableRawBufferPointer) {
        // Safety: the buffer that had it is gone.
        nonisolated(unsafe) let memory = memory
        let isKept = free.withLockedValue { list in
            guard list.count < kept else { return false }
            list.append(memory)
            return true
        }
        if !isKept { memory.deallocate() }
    }
}

/// The bytes of one window, given back when the window is done with.
final class WindowBuffer: Sendable {
    // Safety: written by the one task that reads the window in, before it is shared; only read afterwards.
    nonisolated(unsafe) let bytes: UnsafeMutableRawBufferPointer
    let count: Int
    private let pool: WindowBuffers?

    fileprivate init(_ bytes: UnsafeMutableRawBufferPointer, count: Int, of pool: WindowBuffers?) {
        self.bytes = bytes
        self.count = count
        self.pool = pool
    }

    deinit {
        if let pool { pool.giveBack(bytes) } else { bytes.deallocate() }
    }
}
