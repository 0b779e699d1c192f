// SPDX-License-Identifier: Apache-2.0

/// Finds where chunks end in an object that may be a container: as ``Cutter`` does, and the body of a larger file in a
/// tar or zip begins and ends a chunk, so that new time stamps in the headers around it do not spoil it.
public struct ContainerCutter: Sendable {
    /// The number that manifests carry for chunks cut like this.
    public static let algorithm: UInt16 = 2
    /// Give so many bytes where there are as many: an answer always comes then.
    public static let lookAhead = Cutter.lengthMax

    private let cutter = Cutter()

    public init() {}

    /// Says how long the chunk is that begins at the buffer's start, which is where the chunk before it ended.
    public mutating func cut(_ bytes: UnsafeRawBufferPointer, isEnd: Bool) -> Int? {
        cutter.cut(bytes, isEnd: isEnd)
    }
}
