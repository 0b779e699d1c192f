// SPDX-License-Identifier: Apache-2.0

public import Content
import NIOConcurrencyHelpers
public import Storage

/// Both levels of an object's manifest, decoded.
public final class ObjectShape: Sendable {
    public let digest: Digest
    public let manifest: Manifest
    /// All chunks in order.
    public let sequence: ChunkSequence
    /// For each block the position of its first chunk, and at the end the count of chunks.
    public let starts: [Int]

    init(digest: Digest, manifest: Manifest, lists: [BlockList]) {
        self.digest = digest
        self.manifest = manifest
        sequence = ChunkSequence(lists: lists)
        var starts = [0]
        starts.reserveCapacity(lists.count + 1)
        for list in lists { starts.append(starts[starts.count - 1] + list.chunks.count) }
        self.starts = starts
    }

    /// The chunks of a block.
    public func list(_ block: Int) -> BlockList {
        BlockList(chunks: Array(sequence.chunks[starts[block]..<starts[block + 1]]))
    }
}

/// The shapes that links lately needed, at either end. To forget one costs only the time to read it again.
public final class ObjectShapes: Sendable {
    /// The most chunks of an object that is encoded against others or that others are encoded against: about 8 GiB, in
    /// 6 MiB of memory. A larger one crosses without bases.
    public static let chunkCountMax = 1 << 17
    /// The most chunks of all that are kept: an object and its bases, in 12 MiB of memory.
    static let keptChunkCountMax = 1 << 18

    private let store: Store
    private let kept = NIOLockedValueBox<[ObjectShape]>([])

    public init(store: Store) { self.store = store }

    /// The shape of an object; reads the store, so not for an event loop.
    ///
    /// - Returns: nil where its manifest or a block list is not here, or it is too large.
    /// - Throws: ``StorageError`` or ``ContentError``.
    public func shape(of digest: Digest) throws -> ObjectShape? {
        if let shape = find(digest) { return shape }
        guard let bytes = try store.chunks.read(digest) else { return nil }
        let manifest = try Manifest(decoding: bytes)
        var lists: [BlockList] = []
        var count = 0
        for block in manifest.blocks {
            guard let bytes = try store.chunks.read(block.digest) else { return nil }
            let list = try BlockList(decoding: bytes)
            count += list.chunks.count
            guard count <= ObjectShapes.chunkCountMax else { return nil }
            lists.append(list)
        }
        let shape = ObjectShape(digest: digest, manifest: manifest, lists: lists)
        keep(shape)
        return shape
    }

    private func find(_ digest: Digest) -> ObjectShape? {
        kept.withLockedValue { kept in
            guard let at = kept.firstIndex(where: { $0.digest == digest }) else { return nil }
            let shape = kept.remove(at: at)
            kept.append(shape)
            return shape
        }
    }

    private func keep(_ shape: ObjectShape) {
        kept.withLockedValue { kept in
            kept.removeAll { $0.digest == shape.digest }
            kept.append(shape)
            var sum = kept.reduce(0) { $0 + $1.sequence.count }
            while sum > ObjectShapes.keptChunkCountMax, kept.count > 1 { sum -= kept.removeFirst().sequence.count }
        }
    }
}
