// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import Metrics
import NIOPosix
import Peers
import Storage

/// One object that crosses a link: its skeletons, and which of its blocks are under way.
actor LinkedObject {
    /// Bytes of new chunks after which a request ends: some batches, so that a request's own bytes do not count, and
    /// little enough that what a reader needs next is not far behind.
    static let askedByteCount = 8 << 20
    /// Blocks of the first request for skeletons: enough to see which bases are good.
    static let skeletonsFirst = 64

    /// A request for blocks that is under way.
    private struct Run {
        let id: UInt64
        var priority: Priority
        let done: Completion
    }

    /// The bases that are named, and the chunks of each.
    private struct Bases {
        var named: [Digest] = []
        var sequences: [ChunkSequence] = []
        var sizes: [UInt64] = []
    }

    /// Skeletons kept: four requests' worth, about 3 MB. Runs under way have their own; others ask again.
    private static let skeletonsKept = 4 * DeltaRequest.skeletonsMax

    nonisolated let map: BlockMap
    private nonisolated let parts: LinkFetch.Parts
    private nonisolated let numbers: [Digest: [Int]]
    private var bases: Bases?
    /// Those of ``bases`` that chunks are encoded against; chosen once, because the sender prepares them.
    private var encoding: Bases?
    private var skeletons: [Int: [BlockSkeleton.Item]] = [:]
    /// Chunks of bases that this site holds and the other one does not have: it speaks of them as if they were new.
    private var heldHere: [BlockAssembly.Name: Digest] = [:]
    private var asking: Completion?
    /// The request for skeletons that is under way.
    private var skeletonRequest: (id: UInt64, priority: Priority)?
    /// Blocks that became more urgent before a request carried them.
    private var urgent: [Int: Priority] = [:]
    private var hasAsked = false
    private var runs: [UInt64: Run] = [:]
    private var carriers: [Int: UInt64] = [:]
    /// Blocks that did not come out right: they are asked for by digest.
    private var failed: Set<Int> = []

    init(_ map: BlockMap, _ parts: LinkFetch.Parts) {
        self.map = map
        self.parts = parts
        var numbers: [Digest: [Int]] = [:]
        for (number, block) in map.manifest.blocks.enumerated() { numbers[block.digest, default: []].append(number) }
        self.numbers = numbers
    }

    /// The blocks that some of these digests name.
    nonisolated func blocks(named digests: [Digest]) -> [Int] { digests.compactMap { numbers[$0]?.first } }

    private func isHere(_ block: Int) -> Bool { parts.store.chunks.contains(map.manifest.blocks[block].digest) }

    /// Brings a block: joins who brings it already, or begins a request for it and those after it.
    ///
    /// - Returns: whether it came; where it did not, the source does not have it, or it did not come out right.
    @discardableResult
    func bring(_ block: Int, _ priority: Priority, from source: Source) async throws -> Bool {
        while !isHere(block) {
            try Task.checkCancellation()
            if failed.contains(block) { return false }
            if let carrier = carriers[block], let run = runs[carrier] {
                await promote(run, to: priority, at: source)
                await run.done.wait()
            } else if let asking {
                await hurry(block, priority, source)
                await asking.wait()
            } else if skeletons[block] == nil {
                guard try await askSkeletons(from: block, priority, source) else { return false }
            } else {
                try await fetch(from: block, priority, source)
                return isHere(block)
            }
        }
        return true
    }

    /// Makes the request that carries a block, or will, more urgent. Returns whether there is or will be one.
    func promote(_ block: Int, to priority: Priority, at source: Source) async -> Bool {
        if let run = carriers[block].flatMap({ runs[$0] }) {
            await promote(run, to: priority, at: source)
            return true
        }
        guard asking != nil, !isHere(block) else { return false }
        await hurry(block, priority, source)
        return true
    }

    /// Notes how urgent a block is that no request carries yet, for those that will.
    private func hurry(_ block: Int, _ priority: Priority, _ source: Source) async {
        guard priority < urgent[block] ?? .replication else { return }
        urgent[block] = priority
        guard let request = skeletonRequest, priority < request.priority else { return }
        skeletonRequest?.priority = priority
        await parts.peers.promote(request.id, at: source, to: priority)
    }

    private func promote(_ run: Run, to priority: Priority, at source: Source) async {
        guard priority < run.priority else { return }
        runs[run.id]?.priority = priority
        await parts.peers.promote(run.id, at: source, to: priority)
    }

    // MARK: Skeletons

    private func askSkeletons(from block: Int, _ priority: Priority, _ source: Source) async throws -> Bool {
        let done = Completion()
        asking = done
        defer {
            asking = nil
            done.complete()
        }
        let bases: Bases
        if let known = self.bases {
            bases = known
        } else {
            bases = await loadBases(priority)
            self.bases = bases
        }
        var ranges: [Range<Int>] = []
        var asked: [Int] = []
        let most = hasAsked ? DeltaRequest.skeletonsMax : LinkedObject.skeletonsFirst
        for next in block..<map.count where asked.count < most && skeletons[next] == nil && !isHere(next) {
            asked.append(next)
            if let last = ranges.last, last.upperBound == next {
                ranges[ranges.count - 1] = last.lowerBound..<next + 1
            } else {
                ranges.append(next..<next + 1)
            }
        }
        let request = DeltaRequest(
            manifest: map.digest,
            bases: bases.named,
            priority: min(priority, urgent[block] ?? priority),
            part: .skeletons(ranges)
        )
        skeletonRequest = (request.id, request.priority)
        defer { skeletonRequest = nil }
        let received = try await parts.peers.fetchSkeletons(request, bases: bases.sequences, from: source)
        guard let received else { return false }
        if skeletons.count + asked.count > LinkedObject.skeletonsKept { skeletons = [:] }
        if !hasAsked { noteHeld(bases, received.isUsed) }
        hasAsked = true
        for (at, number) in asked.enumerated() {
            let items = received.skeletons[at]
            let length = items.reduce(UInt64(0)) { $0 + UInt64($1.length) }
            if length == map.manifest.blocks[number].length { skeletons[number] = items } else { fail(number) }
        }
        return true
    }

    private func noteHeld(_ bases: Bases, _ isUsed: [Bool]) {
        for (sequence, isUsed) in zip(bases.sequences, isUsed) where !isUsed {
            for chunk in sequence.chunks {
                heldHere[.init(prefix: DigestPrefix(of: chunk.digest), length: chunk.length)] = chunk.digest
            }
        }
    }

    /// Brings manifests and block lists of the bases here, from holders of this site where need be.
    private func loadBases(_ priority: Priority) async -> Bases {
        var bases = Bases()
        for digest in parts.relatives.bases(of: map.digest) {
            guard let shape = try? await shape(of: digest, priority) else { continue }
            bases.named.append(digest)
            bases.sequences.append(shape.sequence)
            bases.sizes.append(shape.manifest.size)
        }
        return bases
    }

    private nonisolated func shape(of digest: Digest, _ priority: Priority) async throws -> ObjectShape? {
        let (peers, store) = (parts.peers, parts.store.chunks)
        if let shape = try await NIOThreadPool.singleton.runIfActive({ try peers.shapes.shape(of: digest) }) {
            return shape
        }
        guard try await parts.holders([digest], digest, priority), let bytes = try store.read(digest) else {
            return nil
        }
        let lists = try Manifest(decoding: bytes).blocks.map(\.digest)
        guard lists.count <= ObjectShapes.chunkCountMax / 16 else { return nil }
        for start in stride(from: 0, to: lists.count, by: 1024) {
            let group = Array(lists[start..<min(lists.count, start + 1024)])
            guard try await parts.holders(group, digest, priority) else { return nil }
        }
        return try await NIOThreadPool.singleton.runIfActive { try peers.shapes.shape(of: digest) }
    }

    /// The bases for chunks: those in which the skeletons found the most.
    private func chooseEncoding() -> Bases {
        if let encoding { return encoding }
        guard let bases else { return Bases() }
        var counts = [Int](repeating: 0, count: bases.named.count)
        for items in skeletons.values {
            for case .known(let chunk) in items {
                if let at = bases.sequences.firstIndex(where: { $0.position(of: chunk) != nil }) { counts[at] += 1 }
            }
        }
        let chosen = BaseManifests.encoding(known: zip(counts, bases.sizes).map { ($0, $1) })
        let encoding = Bases(
            named: chosen.map { bases.named[$0] },
            sequences: chosen.map { bases.sequences[$0] },
            sizes: chosen.map { bases.sizes[$0] }
        )
        self.encoding = encoding
        return encoding
    }

    // MARK: Chunks

    private func fetch(from block: Int, _ priority: Priority, _ source: Source) async throws {
        let blocks = choose(from: block)
        let priority = blocks.compactMap { urgent.removeValue(forKey: $0) }.reduce(priority, min)
        let run = Run(id: .random(in: .min ... .max), priority: priority, done: Completion())
        runs[run.id] = run
        for block in blocks { carriers[block] = run.id }
        let encoding = chooseEncoding()
        defer {
            runs[run.id] = nil
            for block in blocks {
                carriers[block] = nil
                if isHere(block) { skeletons[block] = nil }
            }
            run.done.complete()
        }
        let task = BlockRun(
            map: map,
            parts: parts,
            source: source,
            id: run.id,
            bases: encoding.named,
            sequences: encoding.sequences,
            heldHere: heldHere,
            skeletons: blocks.compactMap { number in skeletons[number].map { (number, $0) } }
        )
        let wrong = try await task.run { self.runs[run.id]?.priority ?? priority }
        for number in wrong { fail(number) }
    }

    /// A block and those after it whose skeletons are here and which nobody brings, until enough bytes are new.
    private func choose(from block: Int) -> [Int] {
        var blocks: [Int] = []
        var bytes = 0
        var next = block
        while next < map.count, blocks.count < DeltaRequest.selectionsMax, bytes < LinkedObject.askedByteCount {
            defer { next += 1 }
            if isHere(next) { continue }
            guard let items = skeletons[next] else { break }
            if carriers[next] != nil || failed.contains(next) { continue }
            blocks.append(next)
            for case .new(let length, _) in items { bytes += Int(length) }
        }
        return blocks
    }

    private func fail(_ block: Int) {
        if failed.isEmpty {
            parts.logger.warning(
                "a block came out wrong over a link and is asked for by digest",
                metadata: ["object": "\(map.digest)", "block": "\(block)"]
            )
        }
        failed.insert(block)
        skeletons[block] = nil
        urgent[block] = nil
        parts.failures.increment()
    }
}
