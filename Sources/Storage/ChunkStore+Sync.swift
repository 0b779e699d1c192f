// SPDX-License-Identifier: Apache-2.0

extension ChunkStore {
    /// Bytes above the watermarks at which a sync moves them: a quarter of a second of checking at the next open, for
    /// the price of bringing 64 tables to the disk.
    private static let checkpointByteCount: UInt64 = 256 << 20

    /// Makes everything inserted before survive a power loss.
    ///
    /// Brings segments to the disk, whose records are enough to find them again; moves the watermarks too where much
    /// lies above them. To be called from time to time even where nobody asks, so that a start after a power loss has
    /// little to check.
    ///
    /// - Throws: ``StorageError`` `io` or `noSpace`.
    public func sync() throws(StorageError) {
        let generation = catalog.beginSync()
        let ends = withAppender { $0.unsynced }
        if !ends.isEmpty {
            for number in ends.keys.sorted() { try segments[number]?.file.sync() }
            try folder.sync()
            withAppender { $0.setSynced(ends) }
        }
        if let generation { try catalog.endSync(generation) }
        if withAppender({ $0.aboveWatermarks }) >= ChunkStore.checkpointByteCount { try moveWatermarks() }
        metrics.synced(occupied: occupancy.stored)
    }

    /// Syncs, and moves all watermarks: the next open has nothing to check.
    func checkpoint() throws(StorageError) {
        try sync()
        if withAppender({ $0.aboveWatermarks }) > 0 { try moveWatermarks() }
    }

    private func moveWatermarks() throws(StorageError) {
        // Taken before the index is brought to the disk: what is published meanwhile may miss that.
        let marks = withAppender { $0.synced }
        try index.sync()
        try catalog.setWatermarks(withAppender { $0.setDurable(marks) })
    }
}
