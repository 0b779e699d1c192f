// SPDX-License-Identifier: Apache-2.0

/// Finds where chunks end in an object that may be a container: as ``Cutter`` does, and besides the body of a larger file
/// in a tar, in a tar in it, or in a zip begins and ends a chunk, so that a new time stamp in the header before it does
/// not spoil it.
///
/// Only such ends come before ``Cutter/lengthMin``. What is no container, and what is malformed from where it is, has
/// plain cuts. The cuts depend on the object's bytes and not on how they are fed.
///
/// Everything here is part of the format, as it is in ``Cutter``.
public struct ContainerCutter: Sendable {
    /// The number that manifests carry for chunks cut like this.
    public static let algorithm: UInt16 = 2
    /// Bytes from which on a file's body begins and ends a chunk: with 16 KiB there are a quarter more chunks, whose
    /// names cost more than the bytes that they save.
    public static let bodyLengthMin = 32 << 10
    /// With so many bytes at hand there is always an answer: the longest chunk and the longest header after it.
    public static let lookAhead = Cutter.lengthMax + ContainerWalk.structureMax

    private let cutter = Cutter()
    private var walk: ContainerWalk
    /// Where the chunk under way begins in the object.
    private var start: UInt64 = 0

    public init() { walk = ContainerWalk(bodyLengthMin: ContainerCutter.bodyLengthMin) }

    /// Says how long the chunk is that begins at the buffer's start, which is where the chunk before it ended.
    ///
    /// - Parameters:
    ///   - bytes: what is at hand; give ``lookAhead`` bytes or more where there are as many, since bytes are looked at
    ///     again after an answer of nil.
    ///   - isEnd: no bytes follow these.
    /// - Returns: 1 to ``Cutter/lengthMax``, or nil where more bytes are needed to tell: never where there are
    ///   ``lookAhead`` bytes, nor at the end unless the buffer is empty.
    public mutating func cut(_ bytes: UnsafeRawBufferPointer, isEnd: Bool) -> Int? {
        walk.advance(over: bytes, at: start, to: start + UInt64(min(bytes.count, Cutter.lengthMax)), isEnd: isEnd)
        var part = bytes
        var isWhole = isEnd
        if let forced = walk.boundary(after: start), forced - start <= UInt64(bytes.count) {
            part = UnsafeRawBufferPointer(rebasing: bytes[..<Int(forced - start)])
            isWhole = true
        }
        // A cut beyond what the walk has seen could be one that a body's begin or end comes before.
        guard let length = cutter.cut(part, isEnd: isWhole), walk.position >= start + UInt64(length) else { return nil }
        start += UInt64(length)
        return length
    }
}
