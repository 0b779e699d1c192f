// SPDX-License-Identifier: Apache-2.0

/// Bytes that look like files: runs of text that compress, between runs that do not. The same for the same seed.
public func sample(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 4096)
    while bytes.count < count {
        let length = Int(next() % 4096) + 64
        if next() % 3 == 0 {
            for _ in 0..<length / 8 { withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) } }
        } else {
            let word = withUnsafeBytes(of: next()) { Array($0) }
            while bytes.count % 4096 < length, bytes.count < count { bytes.append(contentsOf: word) }
            bytes.append(UInt8(truncatingIfNeeded: next()))
        }
    }
    return Array(bytes[..<count])
}

/// Bytes that do not compress.
public func noise(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 0xD134_2543_DE82_EF95 | 1
    return (0..<count / 8).flatMap { _ -> [UInt8] in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return withUnsafeBytes(of: state) { Array($0) }
    }
}
