// SPDX-License-Identifier: Apache-2.0

/// The words of the gear hash: `hash << 1 + table[byte]` depends on the last 64 bytes and on nothing else.
///
/// Part of the format of every cut and every sketch.
enum Gear {
    /// 256 random words from SplitMix64 (Steele et al., 2014), seed "larder-1" in ASCII.
    // Safety: written once by this initialiser, read-only afterwards, never freed.
    nonisolated(unsafe) static let table: UnsafePointer<UInt64> = {
        let table = UnsafeMutablePointer<UInt64>.allocate(capacity: 256)
        var state: UInt64 = 0x6c61_7264_6572_2d31
        for i in 0..<256 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var word = state
            word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
            word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
            (table + i).initialize(to: word ^ (word >> 31))
        }
        return UnsafePointer(table)
    }()
}
