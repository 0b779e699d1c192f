// SPDX-License-Identifier: Apache-2.0

public import Content

/// Chunk references in, block lists and at the end the manifest out.
///
/// A block ends after a chunk whose digest has six zero bits at its end, so that equal runs of chunks make equal blocks
/// in different objects; never before ``chunkCountMin`` chunks, so that a block list is worth its own record.
public struct ManifestBuilder: Sendable {
    /// No block has fewer chunks, but the last of an object.
    public static let chunkCountMin = 16
    /// The bits of a digest that decide: one chunk of 64 ends a block.
    private static let mask: UInt64 = 63

    /// The chunks of the block that has not ended yet.
    public private(set) var openChunks: [ChunkReference] = []
    /// The blocks that have ended.
    public private(set) var blocks: [BlockReference] = []

    /// How the chunks are cut that will be added.
    private let algorithm: UInt16

    public init(algorithm: UInt16 = ContainerCutter.algorithm) { self.algorithm = algorithm }

    /// Adds the object's next chunk.
    ///
    /// - Returns: the block list that this chunk ended, if it ended one; ``blocks`` then ends with its reference.
    public mutating func append(_ chunk: ChunkReference) -> BlockList? {
        openChunks.append(chunk)
        let ends = chunk.digest.suffix & ManifestBuilder.mask == 0 && openChunks.count >= ManifestBuilder.chunkCountMin
        return ends || openChunks.count >= BlockList.chunkCountMax ? end() : nil
    }

    /// Ends the object.
    ///
    /// - Returns: the last block list, or nil where the last chunk ended its block or there was no chunk at all.
    public mutating func finish() -> BlockList? { openChunks.isEmpty ? nil : end() }

    /// The upper level over the blocks that have ended: all of the object after ``finish()``.
    public var manifest: Manifest { Manifest(algorithm: algorithm, blocks: blocks) }

    private mutating func end() -> BlockList {
        let list = BlockList(chunks: openChunks)
        blocks.append(BlockReference(digest: .sha256(of: list.encoded()), length: list.length))
        openChunks.removeAll(keepingCapacity: true)
        return list
    }
}
