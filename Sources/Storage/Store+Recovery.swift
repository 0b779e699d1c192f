// SPDX-License-Identifier: Apache-2.0

public import Content
import Logging

extension Store {
    /// After the machine may have gone down: objects of which a part was not on the disk yet are given up, and so are
    /// their names where nobody else holds them (P4: whole or gone).
    ///
    /// The catalog's log and the segments reach the disk in whatever order the kernel likes, so a name may outlive its
    /// bytes. Only what was recorded since the last sync is looked at.
    static func giveUpLostObjects(
        _ chunks: ChunkStore, _ catalog: Catalog, logger: Logger
    ) throws(StorageError) {
        var lost: [Digest] = []
        for manifest in try catalog.unsyncedObjects() where try !chunks.hasWhole(manifest) { lost.append(manifest) }
        guard !lost.isEmpty else { return }
        _ = try catalog.evict(lost, by: catalog.agent, sparingPinned: false)
        logger.warning("objects lost with the power", metadata: ["objects": "\(lost.count)"])
    }
}

extension ChunkStore {
    /// Whether all of an object is here: its manifest, its block lists, and slots for their chunks. Reads no data.
    public func hasWhole(_ manifest: Digest) throws(StorageError) -> Bool {
        guard let bytes = try read(manifest), let decoded = try? Manifest(decoding: bytes) else { return false }
        for block in decoded.blocks {
            guard let bytes = try read(block.digest), let list = try? BlockList(decoding: bytes) else { return false }
            for chunk in list.chunks where length(of: chunk.digest) != Int(chunk.length) { return false }
        }
        return true
    }
}
