// SPDX-License-Identifier: Apache-2.0

/// Finds where chunks end: content-defined cuts, so that an insertion moves the cuts around it and no others.
///
/// FastCDC (Xia et al., USENIX ATC 2016) with normalisation level 2: a cut is where the gear hash of the last 64 bytes
/// has 18 leading zero bits before the average length, and 14 after it. The leading bits are used, not a spread mask,
/// because one comparison decides them, and they are the ones that depend on the most bytes. The hash is warmed on the
/// 64 bytes before the shortest length, so that a cut depends on the bytes before it and not on where its chunk began.
///
/// Everything here is part of the format: another table, threshold or length is another ``algorithm``.
public struct Cutter: Sendable {
    /// The number that manifests carry for chunks cut like this.
    public static let algorithm: UInt16 = 1
    /// No chunk is shorter, but the last of an object.
    public static let lengthMin = 16 << 10
    /// The length around which chunks gather.
    public static let lengthAverage = 64 << 10
    /// No chunk is longer.
    public static let lengthMax = 256 << 10

    /// Hashes below these are cuts: 16 + 2 bits before the average, 16 - 2 after it.
    private static let rare: UInt64 = 1 << (64 - 18)
    private static let frequent: UInt64 = 1 << (64 - 14)
    /// Bytes on which a hash depends: each one's influence is shifted out after as many steps as a word has bits.
    private static let window = 64

    public init() {}

    /// Says how long the chunk is that begins at the buffer's start.
    ///
    /// - Parameters:
    ///   - bytes: what is at hand; give ``lengthMax`` bytes or more where there are as many, since bytes are looked at
    ///     again after an answer of nil.
    ///   - isEnd: no bytes follow these.
    /// - Returns: 1 to ``lengthMax``, or nil where more bytes are needed to tell: never where there are ``lengthMax``
    ///   bytes, nor at the end unless the buffer is empty.
    public func cut(_ bytes: UnsafeRawBufferPointer, isEnd: Bool) -> Int? {
        let count = min(bytes.count, Cutter.lengthMax)
        let whole = isEnd || count == Cutter.lengthMax
        guard count > Cutter.lengthMin, let base = bytes.baseAddress else { return whole && count > 0 ? count : nil }
        var scan = Scan(bytes: base.assumingMemoryBound(to: UInt8.self), gear: Gear.table)
        scan.warm(from: Cutter.lengthMin - Cutter.window, to: Cutter.lengthMin)
        let average = min(count, Cutter.lengthAverage)
        if let cut = scan.find(below: Cutter.rare, from: Cutter.lengthMin, to: average) { return cut }
        if let cut = scan.find(below: Cutter.frequent, from: average, to: count) { return cut }
        return whole ? count : nil
    }

    /// The rolling hash over one buffer.
    // Safety: lives within `cut`, whose caller vouches for the buffer; `to` is never above its count.
    private struct Scan {
        let bytes: UnsafePointer<UInt8>
        let gear: UnsafePointer<UInt64>
        var hash: UInt64 = 0

        @inline(__always)
        mutating func warm(from start: Int, to end: Int) {
            for at in start..<end { step(at) }
        }

        @inline(__always)
        private mutating func step(_ at: Int) { hash = (hash &<< 1) &+ gear[Int(bytes[at])] }

        /// The position after the first byte in the range whose hash is below the limit.
        @inline(__always)
        mutating func find(below limit: UInt64, from start: Int, to end: Int) -> Int? {
            var at = start
            // Four at a time: the loop's own test and addition cost as much as a step does.
            while at &+ 4 <= end {
                step(at)
                if hash < limit { return at &+ 1 }
                step(at &+ 1)
                if hash < limit { return at &+ 2 }
                step(at &+ 2)
                if hash < limit { return at &+ 3 }
                step(at &+ 3)
                if hash < limit { return at &+ 4 }
                at &+= 4
            }
            while at < end {
                step(at)
                at &+= 1
                if hash < limit { return at }
            }
            return nil
        }
    }
}
