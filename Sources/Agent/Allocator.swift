// SPDX-License-Identifier: Apache-2.0

import Glibc

/// How the C library keeps memory that was given back (mallopt(3)): what it hoards is anonymous memory too, and counts
/// against the budget (P9).
enum Allocator {
    // The numbers of M_ARENA_MAX and M_MMAP_THRESHOLD in malloc.h, which the Swift overlay leaves out.
    private static let arenaMax: Int32 = -8
    private static let mapThreshold: Int32 = -3
    /// Two for each core of a small node: more only keep more apart what is free.
    private static let arenasMax: Int32 = 4
    /// Windows of an ingest lie above it, and go back to the kernel when they are done with. Set, it also stays: by
    /// itself it rises to the largest block that was ever given back.
    private static let mappedByteCountMin: Int32 = 4 << 20

    /// To be called before the agent's parts start: what threads have by then stays where it is.
    static func bound() {
        // Another C library may not have it; then its allocator is as it is.
        guard let symbol = dlsym(nil, "mallopt") else { return }
        // Safety: mallopt(3) is `int mallopt(int, int)`.
        let mallopt = unsafeBitCast(symbol, to: (@convention(c) (Int32, Int32) -> Int32).self)
        _ = mallopt(arenaMax, arenasMax)
        _ = mallopt(mapThreshold, mappedByteCountMin)
    }
}
