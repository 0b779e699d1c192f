// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The system's wall clock, in the unit of ours.
public enum WallClock {
    /// Milliseconds since 1970.
    public static func milliseconds() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return UInt64(max(0, now.tv_sec)) * 1000 + UInt64(max(0, now.tv_nsec)) / 1_000_000
    }
}
