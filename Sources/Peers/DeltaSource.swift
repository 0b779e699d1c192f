// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Storage

/// What a sender knows of an object and the bases that an asker named: what the bases' chunks look like that the object
/// does not have.
///
/// It is kept from one request to the next only to save work: any request can be answered without it.
final class DeltaSource: Sendable {
    let manifest: Digest
    let baseDigests: [Digest]
    /// Both levels of the object, where it is encoded against bases.
    private let object: ObjectShape?
    private let sequences: [ChunkSequence]
    private let choice: BaseChoice
    private let expected: ExpectedPositions
    /// Of the object, where it is a zip: that has its table of contents at the end. A tar's is in the chunks.
    private let outline: Outline?
    private let effort: NIOLockedValueBox<EncodingEffort>

    /// Reads the chunks of the bases that the object does not have, on every thread of the pool: takes a fraction of a
    /// second for each 200 MB.
    init(_ request: DeltaRequest, of manifest: Manifest, _ service: PeerService) async throws {
        self.manifest = request.manifest
        baseDigests = request.bases
        let store = service.store.chunks
        let (object, shapes) = try await NIOThreadPool.singleton.runIfActive {
            try DeltaSource.shapes(request, service)
        }
        self.object = object
        sequences = shapes.map { $0?.sequence ?? ChunkSequence(chunks: []) }
        let own = Set(object?.sequence.chunks.map(\.digest) ?? [])
        var bases: [BaseObject] = []
        for sequence in sequences { bases.append(try await DeltaSource.base(sequence, without: own, store)) }
        let held = Set(sequences.flatMap { $0.chunks.map(\.digest) })
        let missing = object?.sequence.chunks.reduce(0) { held.contains($1.digest) ? $0 : $0 + UInt64($1.length) }
        (choice, expected, outline) = try await NIOThreadPool.singleton.runIfActive { [bases] in
            let sequence = object?.sequence ?? ChunkSequence(chunks: [])
            return (
                BaseChoice(bases: bases), ExpectedPositions(of: sequence, in: bases),
                try DeltaSource.zipOutline(of: sequence, store)
            )
        }
        effort = NIOLockedValueBox(
            EncodingEffort(
                bytesPerSecond: service.configuration.uplink,
                objectByteCount: manifest.size,
                missingByteCount: missing ?? manifest.size
            )
        )
    }

    private static func shapes(
        _ request: DeltaRequest, _ service: PeerService
    ) throws -> (object: ObjectShape?, bases: [ObjectShape?]) {
        guard !request.bases.isEmpty, let object = try service.shapes.shape(of: request.manifest) else {
            return (nil, request.bases.map { _ in nil })
        }
        return (object, try request.bases.map { try service.shapes.shape(of: $0) })
    }

    /// Chunks that one thread looks at together: about 16 MiB, so that no core waits long for another.
    private static let partChunkCount = 256

    private static func base(
        _ sequence: ChunkSequence, without own: Set<Digest>, _ store: ChunkStore
    ) async throws -> BaseObject {
        var places: [(position: Int, offset: UInt64)] = []
        var offset: UInt64 = 0
        for (position, chunk) in sequence.chunks.enumerated() {
            if !own.contains(chunk.digest) { places.append((position, offset)) }
            offset += UInt64(chunk.length)
        }
        let parts = stride(from: 0, to: places.count, by: partChunkCount).map {
            Array(places[$0..<min($0 + partChunkCount, places.count)])
        }
        let looked = try await withThrowingTaskGroup(of: (Int, [Int: ChunkSketch], OutlineScan).self) { group in
            var looked: [(Int, [Int: ChunkSketch], OutlineScan)] = []
            for (number, part) in parts.enumerated() {
                // No more than there are cores: publications wait in the same queue.
                if number >= System.coreCount, let done = try await group.next() { looked.append(done) }
                group.addTask {
                    try await NIOThreadPool.singleton.runIfActive {
                        let (sketches, scan) = try look(at: part, of: sequence, store)
                        return (number, sketches, scan)
                    }
                }
            }
            for try await done in group { looked.append(done) }
            return looked
        }
        var sketches: [Int: ChunkSketch] = [:]
        var scan = OutlineScan()
        for (_, part, found) in looked.sorted(by: { $0.0 < $1.0 }) {
            sketches.merge(part) { one, _ in one }
            scan.append(found)
        }
        return try await NIOThreadPool.singleton.runIfActive { [sketches, scan] in
            let outline = try zipOutline(of: sequence, store) ?? scan.finish()
            return BaseObject(sequence: sequence, sketches: sketches, outline: outline)
        }
    }

    private static func look(
        at places: [(position: Int, offset: UInt64)], of sequence: ChunkSequence, _ store: ChunkStore
    ) throws -> (sketches: [Int: ChunkSketch], scan: OutlineScan) {
        var sketches: [Int: ChunkSketch] = [:]
        var scan = OutlineScan()
        let scratch = ChunkScratch()
        for (position, offset) in places {
            guard let bytes = try scratch.read(sequence.chunks[position].digest, from: store) else { continue }
            sketches[position] = ChunkSketch(of: bytes)
            scan.add(bytes, at: offset)
        }
        return (sketches, scan)
    }

    /// The outline of an object that begins as a zip does.
    private static func zipOutline(of sequence: ChunkSequence, _ store: ChunkStore) throws -> Outline? {
        let scratch = ChunkScratch()
        guard let first = sequence.chunks.first, let bytes = try scratch.read(first.digest, from: store),
            bytes.starts(with: [0x50, 0x4b, 3, 4])
        else { return nil }
        let reader = SequenceReader(sequence, store)
        return try Outline(size: reader.size) { try reader.read($0, into: $1) }
    }

    /// Puts the chunks of a request into batches.
    func planner() -> DeltaPlanner { DeltaPlanner(choice: choice, outline: outline) }

    /// What stands in the bases where a chunk of a block is.
    func expected(_ block: Int, _ chunk: Int) -> BasePosition? {
        object.flatMap { expected[$0.starts[block] + chunk] }
    }

    /// Encodes a batch.
    ///
    /// - Parameter raw: its chunks, one after another.
    func encode(_ batch: DeltaBatch, _ raw: [UInt8], _ store: ChunkStore) throws -> DeltaFrame {
        let level = effort.withLockedValue { $0.level(rawByteCount: raw.count) }
        let begin = ThreadTime.seconds
        let (bases, payload) = try raw.withUnsafeBytes { raw in
            try batch.encode(raw, level: level, sequences: sequences) { chunk, buffer in
                try store.read(chunk.digest, into: buffer) == buffer.count
            }
        }
        let seconds = ThreadTime.seconds - begin
        effort.withLockedValue {
            $0.encoded(rawByteCount: raw.count, byteCount: payload.count, seconds: seconds, level: level)
        }
        return DeltaFrame(parts: batch.targets, bases: bases, payload: payload)
    }
}
