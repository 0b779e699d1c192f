// SPDX-License-Identifier: Apache-2.0

import CoreMetrics

/// The store's metrics: every name in one place, every handle made once.
struct StoreMetrics: Sendable {
    /// Chunks and bytes that were stored, compressed and with their heads.
    private let insertedChunks = Counter(label: "larder_store_inserted_chunks_total")
    private let insertedBytes = Counter(label: "larder_store_inserted_bytes_total")
    /// Bytes before compression.
    private let insertedRawBytes = Counter(label: "larder_store_inserted_raw_bytes_total")
    /// Bytes read and checked, decoded.
    private let readBytes = Counter(label: "larder_store_read_bytes_total")
    /// Records that were not what had been written.
    private let corruptRecords = Counter(label: "larder_store_corrupt_records_total")
    /// Chunks that a sweep dropped, and bytes of the disk that it freed.
    private let sweptChunks = Counter(label: "larder_store_swept_chunks_total")
    private let sweptBytes = Counter(label: "larder_store_swept_bytes_total")
    /// Bytes that segments take of the disk, after the last sync or sweep.
    private let occupiedBytes = Gauge(label: "larder_store_occupied_bytes")
    private let syncs = Counter(label: "larder_store_syncs_total")

    func inserted(recordBytes: UInt64, rawBytes: Int) {
        insertedChunks.increment()
        insertedBytes.increment(by: Int(recordBytes))
        insertedRawBytes.increment(by: rawBytes)
    }

    func read(bytes: Int) { readBytes.increment(by: bytes) }

    func foundCorrupt() { corruptRecords.increment() }

    func swept(chunks: Int, bytes: UInt64, occupied: UInt64) {
        sweptChunks.increment(by: chunks)
        sweptBytes.increment(by: Int(bytes))
        occupiedBytes.record(Double(occupied))
    }

    func synced(occupied: UInt64) {
        syncs.increment()
        occupiedBytes.record(Double(occupied))
    }
}
