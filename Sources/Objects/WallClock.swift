// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The wall clock, read without Foundation.
enum WallClock {
    static func nanoseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    static func milliseconds() -> UInt64 { UInt64(max(0, nanoseconds() / 1_000_000)) }
}
