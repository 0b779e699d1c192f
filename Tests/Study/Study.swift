// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation

/// What crosses for one object when the receiver holds another, counted by kind.
struct Study {
    private(set) var report: [String: Any] = [:]
    /// The link that levels are chosen for: 50 Mbit/s.
    private static let bytesPerSecond = 6.25e6
    /// What a request and its answer cost beside their bodies: headers and frames, and the packets' own.
    private static let requestByteCount = 400
    /// Blocks that one request asks for.
    private static let requestBlockCount = 128
    /// Header of a batch beside the names of its bases: counts and length.
    private static let batchByteCount = 8

    init(old: MappedObject, new: MappedObject, level fixedLevel: Int32?, usesTargets: Bool) throws {
        let known = Set(old.sequence.chunks.map(\.digest))
        let oldBlocks = Set(old.manifest.blocks.map(\.digest))

        let manifest = ManifestDelta.encode(new.manifest, against: [old.manifest])
        guard try ManifestDelta.decode(manifest, against: [old.manifest]) == new.manifest else {
            throw UsageError(message: "the manifest did not come back")
        }
        let lacking = new.manifest.blocks.indices.filter { !oldBlocks.contains(new.manifest.blocks[$0].digest) }
        let lists = lacking.map { new.lists[$0] }
        let skeletons = BlockSkeleton.encode(lists, against: [old.sequence])
        let items = try BlockSkeleton.decode(skeletons, count: lists.count, against: [old.sequence])
        guard zip(lists, items).allSatisfy({ list, items in zip(list.chunks, items).allSatisfy(Study.agree) }) else {
            throw UsageError(message: "the skeletons did not come back")
        }
        // Asked for: the number of each block, and a bit for each of its chunks.
        var asking = ByteWriter()
        for list in lists {
            asking.count(1)
            asking.raw([UInt8](repeating: 0xa5, count: (list.chunks.count + 7) / 8))
        }

        var begin = threadSeconds()
        let wanted = Set(new.sequence.chunks.map(\.digest)).subtracting(known)
        let shared = Set(new.sequence.chunks.map(\.digest))
        var scan = OutlineScan()
        var sketches: [Int: ChunkSketch] = [:]
        var sketchedByteCount = 0
        for (position, chunk) in old.sequence.chunks.enumerated() where !shared.contains(chunk.digest) {
            let bytes = old.chunk(at: position)
            sketches[position] = ChunkSketch(of: bytes)
            scan.add(bytes, at: UInt64(old.offsets[position]))
            sketchedByteCount += bytes.count
        }
        let oldOutline = try old.isZip ? Outline(size: UInt64(old.bytes.count), read: old.read) : scan.finish()
        let base = BaseObject(sequence: old.sequence, sketches: sketches, outline: oldOutline)
        scan = OutlineScan()
        var runs: [TargetRun] = []
        var asked: Set<Digest> = []
        var position = 0
        var newByteCount = 0
        for (number, list) in new.lists.enumerated() {
            defer { position += list.chunks.count }
            guard !oldBlocks.contains(new.manifest.blocks[number].digest) else { continue }
            var flags: [Bool] = []
            var sketches: [Int: ChunkSketch] = [:]
            for (i, chunk) in list.chunks.enumerated() {
                let isWanted = wanted.contains(chunk.digest) && asked.insert(chunk.digest).inserted
                flags.append(isWanted)
                guard isWanted else { continue }
                let bytes = new.chunk(at: position + i)
                sketches[i] = ChunkSketch(of: bytes)
                scan.add(bytes, at: UInt64(new.offsets[position + i]))
                sketchedByteCount += bytes.count
                newByteCount += bytes.count
            }
            runs.append(
                TargetRun(
                    offset: UInt64(new.offsets[position]), chunks: list.chunks, isWanted: flags, sketches: sketches
                )
            )
        }
        let outline = try new.isZip ? Outline(size: UInt64(new.bytes.count), read: new.read) : scan.finish()
        let sketchSeconds = threadSeconds() - begin
        begin = threadSeconds()
        let plan = DeltaPlan(
            runs: runs, outline: outline, bases: [base], usesTargets: usesTargets
        )
        let planSeconds = threadSeconds() - begin
        begin = threadSeconds()
        var effort = EncodingEffort(
            bytesPerSecond: Study.bytesPerSecond,
            objectByteCount: UInt64(new.bytes.count),
            missingByteCount: UInt64(newByteCount)
        )
        var frames: [[UInt8]] = []
        var levels: [Int32: Int] = [:]
        var baseByteCount = 0
        var baseless = 0
        for batch in plan.batches {
            let raw = plan.rawByteCount(of: batch)
            let level = fixedLevel ?? effort.level(rawByteCount: raw)
            let begin = threadSeconds()
            let frame = plan.encode(batch, level: level) { chunk, buffer in
                if let bytes = new.chunk(chunk.digest) ?? old.chunk(chunk.digest) { buffer.copyMemory(from: bytes) }
            }
            effort.encoded(
                rawByteCount: raw, byteCount: frame.count, seconds: threadSeconds() - begin, level: level
            )
            frames.append(frame)
            levels[level, default: 0] += 1
            baseByteCount += plan.baseChunks(of: batch).reduce(0) { $0 + Int($1.length) }
            if batch.bases.isEmpty { baseless += 1 }
        }
        let encodeSeconds = threadSeconds() - begin
        begin = threadSeconds()
        var names = ByteWriter()
        for (batch, frame) in zip(plan.batches, frames) {
            BasePositions.write(batch.bases, to: &names)
            let result = DeltaPlan.decode(
                frame, bases: plan.baseChunks(of: batch), rawByteCount: plan.rawByteCount(of: batch)
            ) { chunk, buffer in
                if let bytes = old.chunk(chunk.digest) ?? new.chunk(chunk.digest) { buffer.copyMemory(from: bytes) }
            }
            var at = 0
            let raw = try result.get()
            for chunk in plan.targets[batch.targets] {
                guard let bytes = new.chunk(chunk.digest), raw[at..<at + bytes.count].elementsEqual(bytes) else {
                    throw UsageError(message: "a batch did not come back")
                }
                at += bytes.count
            }
        }
        let decodeSeconds = threadSeconds() - begin

        let data = frames.reduce(0) { $0 + $1.count }
        let packed = Study.packed(skeletons)
        let framing =
            frames.count * Study.batchByteCount
            + (2 * ((lists.count + Study.requestBlockCount - 1) / Study.requestBlockCount) + 1)
            * Study.requestByteCount
        let askingCount = Study.packed(asking.bytes)
        let gigabytes = Double(new.bytes.count) / 1e9
        report = [
            "size": new.bytes.count, "chunks": new.sequence.count, "blocks": new.lists.count,
            "new_blocks": lists.count, "new_chunks": plan.targets.count, "new_bytes": newByteCount,
            "batches": frames.count, "plain_batches": baseless, "base_bytes": baseByteCount,
            "sketched_bytes": sketchedByteCount,
            "data": data, "manifest": manifest.count, "skeletons": packed, "bases": names.bytes.count,
            "asking": askingCount, "framing": framing,
            "total": data + manifest.count + packed + names.bytes.count + askingCount + framing,
            "levels": Dictionary(uniqueKeysWithValues: levels.map { ("\($0.key)", $0.value) }),
            "plain_cut_seconds_per_gb": new.plainSeconds / gigabytes,
            "cut_seconds_per_gb": new.cutSeconds / gigabytes,
            "digest_seconds_per_gb": new.digestSeconds / gigabytes,
            "sketch_seconds_per_gb": sketchSeconds / gigabytes,
            "plan_seconds_per_gb": planSeconds / gigabytes,
            "encode_seconds_per_gb": encodeSeconds / gigabytes,
            "decode_seconds_per_gb": decodeSeconds / gigabytes,
        ]
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
}

extension MappedObject {
    var isZip: Bool { bytes.starts(with: [0x50, 0x4b, 3, 4]) }

    func read(_ offset: UInt64, _ buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = min(buffer.count, bytes.count - min(bytes.count, Int(offset)))
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset) + count]))
        return count
    }
}
