// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import NIOConcurrencyHelpers
import NIOPosix
import Storage

/// What a sender knows of an object and the bases that an asker named: what the bases' chunks look like that the object
/// does not have.
///
/// It is kept from one request to the next only to save work: any request can be answered without it.
final class DeltaSource: Sendable {
    let manifest: Digest
    let baseDigests: [Digest]
    private let store: ChunkStore
    private let bases: [BaseObject]
    /// Of the object, where it is a zip: that has its table of contents at the end. A tar's is in the chunks.
    private let outline: Outline?
    private let effort: NIOLockedValueBox<EncodingEffort>

    /// Reads the chunks of the bases that the object does not have: takes a fraction of a second for each 100 MB.
    init(_ request: DeltaRequest, of manifest: Manifest, _ service: PeerService) throws {
        self.manifest = request.manifest
        baseDigests = request.bases
        store = service.store.chunks
        let object = try request.bases.isEmpty ? nil : service.shapes.shape(of: request.manifest)
        var missing = manifest.size
        if let object {
            let shapes = try request.bases.map { try service.shapes.shape(of: $0) }
            let own = Set(object.sequence.chunks.map(\.digest))
            let store = store
            bases = try shapes.map { try DeltaSource.base($0, without: own, store) }
            var held = Set<Digest>()
            for shape in shapes { held.formUnion(shape?.sequence.chunks.map(\.digest) ?? []) }
            missing = object.sequence.chunks.reduce(0) { held.contains($1.digest) ? $0 : $0 + UInt64($1.length) }
            outline = try DeltaSource.zipOutline(of: object.sequence, store)
        } else {
            bases = request.bases.map { _ in
                BaseObject(sequence: ChunkSequence(chunks: []), sketches: [:], outline: nil)
            }
            outline = nil
        }
        effort = NIOLockedValueBox(
            EncodingEffort(
                bytesPerSecond: service.configuration.uplink,
                objectByteCount: manifest.size,
                missingByteCount: missing
            )
        )
    }

    private static func base(_ shape: ObjectShape?, without own: Set<Digest>, _ store: ChunkStore) throws -> BaseObject
    {
        guard let sequence = shape?.sequence else {
            return BaseObject(sequence: ChunkSequence(chunks: []), sketches: [:], outline: nil)
        }
        var sketches: [Int: ChunkSketch] = [:]
        var scan = OutlineScan()
        var offset: UInt64 = 0
        let scratch = ChunkScratch()
        for (position, chunk) in sequence.chunks.enumerated() {
            defer { offset += UInt64(chunk.length) }
            guard !own.contains(chunk.digest) else { continue }
            guard let bytes = try scratch.read(chunk.digest, from: store) else { continue }
            sketches[position] = ChunkSketch(of: bytes)
            scan.add(bytes, at: offset)
        }
        let outline = try zipOutline(of: sequence, store) ?? scan.finish()
        return BaseObject(sequence: sequence, sketches: sketches, outline: outline)
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

    /// How the chunks of a request cross.
    func plan(_ selections: [BlockSelection], _ lists: [BlockList], of manifest: Manifest) throws -> DeltaPlan {
        var runs: [TargetRun] = []
        var scan = OutlineScan()
        let scratch = ChunkScratch()
        let hasBases = bases.contains { $0.sequence.count > 0 }
        var (block, start) = (0, UInt64(0))
        for (selection, list) in zip(selections, lists) {
            while block < selection.block {
                start += manifest.blocks[block].length
                block += 1
            }
            var isWanted = [Bool](repeating: false, count: list.chunks.count)
            for chunk in selection.chunks { isWanted[chunk] = true }
            var sketches: [Int: ChunkSketch] = [:]
            var offset = start
            for (at, chunk) in list.chunks.enumerated() {
                defer { offset += UInt64(chunk.length) }
                guard hasBases, isWanted[at], let bytes = try scratch.read(chunk.digest, from: store) else { continue }
                sketches[at] = ChunkSketch(of: bytes)
                if outline == nil { scan.add(bytes, at: offset) }
            }
            runs.append(TargetRun(offset: start, chunks: list.chunks, isWanted: isWanted, sketches: sketches))
        }
        return DeltaPlan(runs: runs, outline: outline ?? scan.finish(), bases: bases)
    }

    /// Encodes a batch; nil where one of its chunks is not here any more.
    func encode(_ batch: DeltaPlan.Batch, of plan: DeltaPlan) throws -> DeltaFrame? {
        var raw: [UInt8] = []
        raw.reserveCapacity(plan.rawByteCount(of: batch))
        for chunk in plan.targets[batch.targets] {
            guard let bytes = try store.read(chunk.digest), bytes.count == chunk.length else { return nil }
            raw += bytes
        }
        var prefix: [UInt8] = []
        var positions: [BasePosition] = []
        for (position, chunk) in zip(batch.bases, plan.baseChunks(of: batch)) {
            guard let bytes = try store.read(chunk.digest), bytes.count == chunk.length else { continue }
            positions.append(position)
            prefix += bytes
        }
        let level = effort.withLockedValue { $0.level(rawByteCount: raw.count) }
        let begin = ContinuousClock.now
        let payload = raw.withUnsafeBytes { target in
            prefix.withUnsafeBytes { DeltaEncoder.encode(target, prefix: $0, level: level) }
        }
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        effort.withLockedValue { [count = raw.count] in
            $0.encoded(rawByteCount: count, byteCount: payload.count, seconds: seconds, level: level)
        }
        return DeltaFrame(parts: batch.targets, bases: positions, payload: payload)
    }
}

/// A buffer for one chunk at a time.
private final class ChunkScratch {
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Int(Manifest.chunkLengthMax),
        alignment: 64
    )

    deinit { buffer.deallocate() }

    /// The chunk's bytes, good until the next read; nil where it is not here.
    func read(_ digest: Digest, from store: ChunkStore) throws -> UnsafeRawBufferPointer? {
        try store.read(digest, into: buffer).map { UnsafeRawBufferPointer(rebasing: buffer[..<$0]) }
    }
}

/// Reads ranges of an object by way of its chunks, the last one kept.
private final class SequenceReader {
    private let chunks: [ChunkReference]
    private let store: ChunkStore
    private var offsets: [UInt64] = [0]
    private let scratch = ChunkScratch()
    private var last: (chunk: Int, bytes: UnsafeRawBufferPointer)?

    init(_ sequence: ChunkSequence, _ store: ChunkStore) {
        chunks = sequence.chunks
        self.store = store
        offsets.reserveCapacity(chunks.count + 1)
        for chunk in chunks { offsets.append(offsets[offsets.count - 1] + UInt64(chunk.length)) }
    }

    var size: UInt64 { offsets[chunks.count] }

    /// Fills the buffer from an offset as far as the object and what is here of it go.
    func read(_ offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var done = 0
        while done < buffer.count, offset + UInt64(done) < size {
            let at = offset + UInt64(done)
            let chunk = index(of: at)
            guard let bytes = try load(chunk) else { break }
            let from = Int(at - offsets[chunk])
            let count = min(buffer.count - done, bytes.count - from)
            UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + count]))
            done += count
        }
        return done
    }

    private func load(_ chunk: Int) throws -> UnsafeRawBufferPointer? {
        if let last, last.chunk == chunk { return last.bytes }
        last = nil
        guard let bytes = try scratch.read(chunks[chunk].digest, from: store), bytes.count == chunks[chunk].length
        else { return nil }
        last = (chunk, bytes)
        return bytes
    }

    private func index(of offset: UInt64) -> Int {
        var low = 0
        var high = chunks.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if offsets[middle] <= offset { low = middle } else { high = middle }
        }
        return low
    }
}

/// The sources that requests lately needed.
final class DeltaSources: Sendable {
    /// Objects that are read across links at a time, as a rule; one more costs only time. Each has about 1 MiB for a
    /// gigabyte of its bases, besides the shapes.
    private static let keptMax = 4

    private struct State {
        var kept: [DeltaSource] = []
        /// Ends of sources that are being made: two requests must not read the same bases twice.
        var making: [Name: Signal] = [:]
    }

    private struct Name: Hashable {
        let manifest: Digest
        let bases: [Digest]
    }

    private enum Found {
        case known(DeltaSource)
        case underWay(Signal)
        case nobody(Signal)
    }

    private let state = NIOLockedValueBox(State())

    func source(for request: DeltaRequest, of manifest: Manifest, _ service: PeerService) async throws -> DeltaSource {
        let name = Name(manifest: request.manifest, bases: request.bases)
        while true {
            try Task.checkCancellation()
            switch find(name) {
            case .known(let source): return source
            case .underWay(let signal): await signal.wait()
            case .nobody(let signal):
                defer { end(name, signal) }
                let made = try await NIOThreadPool.singleton.runIfActive {
                    try DeltaSource(request, of: manifest, service)
                }
                keep(made)
                return made
            }
        }
    }

    private func find(_ name: Name) -> Found {
        state.withLockedValue { state in
            let known = state.kept.first { $0.manifest == name.manifest && $0.baseDigests == name.bases }
            if let known { return .known(known) }
            if let signal = state.making[name] { return .underWay(signal) }
            let signal = Signal()
            state.making[name] = signal
            return .nobody(signal)
        }
    }

    private func keep(_ source: DeltaSource) {
        state.withLockedValue { state in
            state.kept.append(source)
            if state.kept.count > DeltaSources.keptMax { state.kept.removeFirst() }
        }
    }

    private func end(_ name: Name, _ signal: Signal) {
        state.withLockedValue { $0.making[name] = nil }
        signal.set()
    }
}
