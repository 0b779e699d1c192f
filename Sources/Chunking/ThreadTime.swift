// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What the processor did for the thread that asks: time that passed while others had the core is not work.
public enum ThreadTime {
    /// Core-seconds of the calling thread since it began.
    public static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
