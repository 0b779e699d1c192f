// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import ProbeSupport

/// What crosses for one object when the receiver holds another, counted by kind: as an agent sends it, request after
/// request.
struct Study {
    /// The link that levels are chosen for: 50 Mbit/s.
    private static let bytesPerSecond = 6.25e6
    /// What a request and its answer cost beside their bodies: headers and frames, and the packets' own.
    private static let requestByteCount = 400
    /// Bytes of new chunks that one request asks for, as an agent's does.
    private static let requestedByteCount = 8 << 20
    /// Blocks that one request for skeletons asks for.
    private static let skeletonBlockCount = 256
    /// Header of a batch beside the names of its bases: counts and length.
    private static let batchByteCount = 8

    private let old: MappedObject
    private let new: MappedObject
    private let fixedLevel: Int32?
    private(set) var report: [String: Any] = [:]

    init(old: MappedObject, new: MappedObject, level: Int32?) throws {
        self.old = old
        self.new = new
        fixedLevel = level
        let asked = try askedBytes()
        let crossed = try cross()
        let framing =
            crossed.batchCount * Study.batchByteCount
            + (crossed.requestCount + asked.blocks / Study.skeletonBlockCount + 2) * Study.requestByteCount
        report = [
            "size": new.bytes.count, "chunks": new.sequence.count, "blocks": new.lists.count,
            "new_blocks": asked.blocks, "manifest": asked.manifest, "skeletons": asked.skeletons,
            "asking": asked.asking, "framing": framing, "data": crossed.data, "bases": crossed.names,
            "batches": crossed.batchCount, "plain_batches": crossed.plainCount, "base_bytes": crossed.baseByteCount,
            "new_chunks": crossed.chunkCount, "new_bytes": crossed.byteCount,
            "sketched_bytes": crossed.byteCount + crossed.sketchedByteCount,
            "total": asked.manifest + asked.skeletons + asked.asking + framing + crossed.data + crossed.names,
            "levels": Dictionary(uniqueKeysWithValues: crossed.levels.map { ("\($0.key)", $0.value) }),
        ]
        let seconds = [
            "plain_cut": new.plainSeconds, "cut": new.cutSeconds, "digest": new.digestSeconds,
            "sketch": crossed.sketchSeconds, "plan": crossed.planSeconds, "encode": crossed.encodeSeconds,
            "decode": crossed.decodeSeconds,
        ]
        for (what, value) in seconds { report["\(what)_seconds_per_gb"] = value / (Double(new.bytes.count) / 1e9) }
    }

    /// Blocks that OLD does not have.
    private var lacking: [Int] {
        let known = Set(old.manifest.blocks.map(\.digest))
        return new.manifest.blocks.indices.filter { !known.contains(new.manifest.blocks[$0].digest) }
    }

    /// What it takes to learn what is missing, and to ask for it.
    private func askedBytes() throws -> (manifest: Int, skeletons: Int, asking: Int, blocks: Int) {
        let manifest = ManifestDelta.encode(new.manifest, against: [old.manifest])
        guard try ManifestDelta.decode(manifest, against: [old.manifest]) == new.manifest else {
            throw ProbeError("the manifest did not come back")
        }
        let lists = lacking.map { new.lists[$0] }
        let skeletons = BlockSkeleton.encode(lists, against: [old.sequence])
        let items = try BlockSkeleton.decode(skeletons, count: lists.count, against: [old.sequence])
        guard zip(lists, items).allSatisfy({ list, items in zip(list.chunks, items).allSatisfy(Study.agree) }) else {
            throw ProbeError("the skeletons did not come back")
        }
        // The number of each block, and a bit for each of its chunks.
        var asking = ByteWriter()
        for list in lists {
            asking.count(1)
            asking.raw([UInt8](repeating: 0xa5, count: (list.chunks.count + 7) / 8))
        }
        return (manifest.count, Study.packed(skeletons), Study.packed(asking.bytes), lists.count)
    }

    private static func agree(_ chunk: ChunkReference, _ item: BlockSkeleton.Item) -> Bool {
        switch item {
        case .known(let other): other == chunk
        case .new(let length, let prefix): length == chunk.length && prefix.matches(chunk.digest)
        }
    }

    /// Bytes of a message, compressed as it crosses.
    private static func packed(_ bytes: [UInt8]) -> Int {
        var out = [UInt8](repeating: 0, count: Compressor.bound(bytes.count))
        let (codec, count) = bytes.withUnsafeBytes { raw in
            out.withUnsafeMutableBytes { Compressor(level: 9).compress(raw, into: $0) }
        }
        return codec == .plain ? bytes.count : count
    }

    // MARK: Chunks

    /// What crossed, and what it took.
    private struct Crossed {
        var data = 0
        var names = 0
        var requestCount = 0
        var batchCount = 0
        var plainCount = 0
        var chunkCount = 0
        var byteCount = 0
        var baseByteCount = 0
        var sketchedByteCount = 0
        var levels: [Int32: Int] = [:]
        var sketchSeconds = 0.0
        var planSeconds = 0.0
        var encodeSeconds = 0.0
        var decodeSeconds = 0.0
    }

    /// Positions of the chunks that are asked for, request by request: each once, those of OLD not at all.
    private func requests() -> [[Int]] {
        var seen = Set(old.sequence.chunks.map(\.digest))
        let lacking = Set(lacking)
        var requests: [[Int]] = []
        var (positions, bytes, position) = ([Int](), 0, 0)
        for (number, list) in new.lists.enumerated() {
            defer { position += list.chunks.count }
            guard lacking.contains(number) else { continue }
            for (i, chunk) in list.chunks.enumerated() where seen.insert(chunk.digest).inserted {
                positions.append(position + i)
                bytes += Int(chunk.length)
            }
            if bytes >= Study.requestedByteCount {
                requests.append(positions)
                (positions, bytes) = ([], 0)
            }
        }
        return positions.isEmpty ? requests : requests + [positions]
    }

    private func cross() throws -> Crossed {
        var crossed = Crossed()
        var begin = ThreadTime.seconds
        let base = try base(&crossed)
        let choice = BaseChoice(bases: [base])
        let expected = ExpectedPositions(of: new.sequence, in: [base])
        let outline = new.isZip ? Outline(size: UInt64(new.bytes.count), read: new.read) : nil
        crossed.sketchSeconds = ThreadTime.seconds - begin
        let requests = requests()
        crossed.requestCount = requests.count
        crossed.byteCount = requests.joined().reduce(0) { $0 + Int(new.sequence.chunks[$1].length) }
        crossed.chunkCount = requests.joined().count
        var effort = EncodingEffort(
            bytesPerSecond: Study.bytesPerSecond, objectByteCount: UInt64(new.bytes.count),
            missingByteCount: UInt64(crossed.byteCount)
        )
        for positions in requests {
            begin = ThreadTime.seconds
            var planner = DeltaPlanner(choice: choice, outline: outline)
            var batches = positions.compactMap {
                planner.append(new.chunk(at: $0), at: UInt64(new.offsets[$0]), expected: expected[$0])
            }
            if let last = planner.close() { batches.append(last) }
            crossed.planSeconds += ThreadTime.seconds - begin
            for batch in batches { try cross(batch, positions[batch.targets], base, &effort, &crossed) }
        }
        return crossed
    }

    /// What a sender learns of OLD before the first batch.
    private func base(_ crossed: inout Crossed) throws -> BaseObject {
        let shared = Set(new.sequence.chunks.map(\.digest))
        var scan = OutlineScan()
        var sketches: [Int: ChunkSketch] = [:]
        for (position, chunk) in old.sequence.chunks.enumerated() where !shared.contains(chunk.digest) {
            let bytes = old.chunk(at: position)
            sketches[position] = ChunkSketch(of: bytes)
            scan.add(bytes, at: UInt64(old.offsets[position]))
            crossed.sketchedByteCount += bytes.count
        }
        let outline = old.isZip ? Outline(size: UInt64(old.bytes.count), read: old.read) : scan.finish()
        return BaseObject(sequence: old.sequence, sketches: sketches, outline: outline)
    }

    private func cross(
        _ batch: DeltaBatch, _ positions: ArraySlice<Int>, _ base: BaseObject, _ effort: inout EncodingEffort,
        _ crossed: inout Crossed
    ) throws {
        var begin = ThreadTime.seconds
        let raw = positions.flatMap { Array(new.chunk(at: $0)) }
        let level = fixedLevel ?? effort.level(rawByteCount: raw.count)
        let (bases, payload) = raw.withUnsafeBytes { raw in
            batch.encode(raw, level: level, sequences: [base.sequence], read: read)
        }
        let seconds = ThreadTime.seconds - begin
        effort.encoded(rawByteCount: raw.count, byteCount: payload.count, seconds: seconds, level: level)
        crossed.encodeSeconds += seconds
        begin = ThreadTime.seconds
        let chunks = bases.map { base.sequence.chunks[$0.position] }
        let decoded = try DeltaBatch.decode(payload, bases: chunks, rawByteCount: raw.count) { _ = read($0, $1) }.get()
        crossed.decodeSeconds += ThreadTime.seconds - begin
        guard decoded == raw else { throw ProbeError("a batch did not come back") }
        var names = ByteWriter()
        BasePositions.write(bases, to: &names)
        crossed.names += names.bytes.count
        crossed.data += payload.count
        crossed.batchCount += 1
        crossed.plainCount += bases.isEmpty ? 1 : 0
        crossed.baseByteCount += chunks.reduce(0) { $0 + Int($1.length) }
        crossed.levels[level, default: 0] += 1
    }

    private func read(_ chunk: ChunkReference, _ buffer: UnsafeMutableRawBufferPointer) -> Bool {
        guard let bytes = old.chunk(chunk.digest) else { return false }
        buffer.copyMemory(from: bytes)
        return true
    }
}

extension MappedObject {
    var isZip: Bool { bytes.starts(with: [0x50, 0x4b, 3, 4]) }

    func read(_ offset: UInt64, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, bytes.count - min(bytes.count, Int(offset)))
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset) + count]))
        return count
    }
}
