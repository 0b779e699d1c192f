// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import NIOPosix
import Peers
import Storage

/// One request for blocks over a link, from skeletons to block lists in the store. Decodes and digests on the thread
/// pool; holds a batch, its bases and the skeletons of its blocks.
final class BlockRun {
    /// Rounds for chunks that somebody else had claimed and then did not bring.
    private static let roundsMax = 3

    private let map: BlockMap
    private let parts: LinkFetch.Parts
    private let source: Source
    private let id: UInt64
    private let bases: [Digest]
    private let sequences: [ChunkSequence]
    /// Chunks of new ones that somebody in this site holds.
    private let heldHere: [BlockAssembly.Name: Digest]
    private let skeletons: [(block: Int, items: [BlockSkeleton.Item])]
    private var store: ChunkStore { parts.store.chunks }

    init(
        map: BlockMap, parts: LinkFetch.Parts, source: Source, id: UInt64, bases: [Digest],
        sequences: [ChunkSequence], heldHere: [BlockAssembly.Name: Digest],
        skeletons: [(block: Int, items: [BlockSkeleton.Item])]
    ) {
        self.map = map
        self.parts = parts
        self.source = source
        self.id = id
        self.bases = bases
        self.sequences = sequences
        self.heldHere = heldHere
        self.skeletons = skeletons
    }

    /// Brings the blocks.
    ///
    /// - Parameter priority: says how urgent it is by now.
    /// - Returns: blocks whose chunks came and did not make the block that the manifest names.
    func run(priority: () -> Priority) async throws -> [Int] {
        let owner = parts.pins.begin()
        defer { parts.pins.end(owner) }
        let (store, skeletons, heldHere) = (store, skeletons, heldHere)
        var assembly = try await NIOThreadPool.singleton.runIfActive {
            try BlockAssembly(skeletons) { name in
                try heldHere[name] ?? store.digest(of: name.prefix, length: Int(name.length))
            }
        }
        await bringFromSite(&assembly, owner, priority())
        var wrong = try finish(&assembly)
        for _ in 0..<BlockRun.roundsMax {
            let lacking = assembly.lacking
            if lacking.isEmpty { break }
            let claim = Completion()
            var mine: Set<BlockAssembly.Name> = []
            var others: [(name: BlockAssembly.Name, claim: Completion)] = []
            for name in lacking {
                if let other = parts.claims.claim(name, claim) {
                    others.append((name, other))
                } else {
                    mine.insert(name)
                }
            }
            // Given back before others are waited for: they may wait for us.
            wrong += try await bring(mine, of: claim, &assembly, owner, priority())
            // What is still lacking the source does not have.
            if assembly.lacking.contains(where: mine.contains) { break }
            for (name, claim) in others {
                await claim.wait()
                try Task.checkCancellation()
                if let digest = try store.digest(of: name.prefix, length: Int(name.length)) {
                    assembly.found(name, digest)
                }
            }
            wrong += try finish(&assembly)
        }
        return wrong
    }

    /// Brings what another agent of this site holds, under whatever key (P7). A failure only means that it crosses.
    private func bringFromSite(_ assembly: inout BlockAssembly, _ owner: UInt64, _ priority: Priority) async {
        for (source, digests) in await parts.peers.held(assembly.lacking) {
            // Two peers may hold the same.
            let missing = Set(digests.values.filter { !store.contains($0) })
            for digest in missing { parts.pins.add([digest], owner) }
            let request = ChunkRequest(
                manifest: map.digest,
                chunks: missing.sorted(),
                level: .store,
                priority: priority
            )
            if !missing.isEmpty {
                let bytes = assembly.lacking.reduce(UInt64(0)) { sum, name in
                    sum + (missing.contains { name.prefix.matches($0) } ? UInt64(name.length) : 0)
                }
                _ = try? await parts.space.withReservation(of: bytes, label: "fetch") {
                    try await parts.peers.fetch(request, from: source) { try parts.keep($0, source) }
                }
            }
        }
        for name in assembly.lacking {
            if let digest = try? store.digest(of: name.prefix, length: Int(name.length)) {
                assembly.found(name, digest)
            }
        }
    }

    /// Asks for chunks and puts them into the store as they come.
    private func bring(
        _ names: Set<BlockAssembly.Name>, of claim: Completion, _ assembly: inout BlockAssembly, _ owner: UInt64,
        _ priority: Priority
    ) async throws -> [Int] {
        defer { parts.claims.release(names, claim) }
        guard !names.isEmpty else { return [] }
        let (selections, order) = assembly.request(for: names)
        let request = DeltaRequest(
            id: id,
            manifest: map.digest,
            bases: bases,
            priority: priority,
            part: .chunks(selections)
        )
        let bytes = names.reduce(UInt64(0)) { $0 + UInt64($1.length) }
        var wrong: [Int] = []
        try await parts.space.withReservation(of: bytes, label: "fetch") {
            try await parts.peers.fetchDeltas(request, count: order.count, from: source) { frame in
                let names = Array(order[frame.parts])
                for (name, digest) in zip(names, try await take(frame, names, owner, priority)) {
                    assembly.found(name, digest)
                }
                wrong += try finish(&assembly)
            }
        }
        return wrong
    }

    /// Decodes a batch, checks each chunk and puts it into the store. Returns their digests.
    private func take(
        _ frame: DeltaFrame, _ names: [BlockAssembly.Name], _ owner: UInt64, _ priority: Priority
    ) async throws -> [Digest] {
        let (bases, payload) = try frame.open(against: sequences)
        for (number, digest) in self.bases.enumerated() {
            // A base that another agent of the site holds comes from there.
            let missing = bases.filter { !self.store.contains($0.digest) && sequences[number].position(of: $0) != nil }
            if !missing.isEmpty { _ = try await parts.holders(missing.map(\.digest), digest, priority) }
        }
        let (store, pins) = (store, parts.pins)
        let rawByteCount = names.reduce(0) { $0 + Int($1.length) }
        let digests = try await NIOThreadPool.singleton.runIfActive { () -> [Digest] in
            let result = try DeltaBatch.decode(payload, bases: bases, rawByteCount: rawByteCount) { chunk, buffer in
                guard try store.read(chunk.digest, into: buffer) == buffer.count else {
                    throw ObjectError(.unavailable, "chunk \(chunk.digest) of a base is not here any more")
                }
            }
            let raw: [UInt8]
            switch result {
            case .success(let bytes): raw = bytes
            case .failure(let error): throw PeersError(.lying, "a batch does not decode: \(error)")
            }
            return try raw.withUnsafeBytes { try BlockRun.insert($0, names, store, pins, owner) }
        }
        parts.statistics.received(rawByteCount, from: source)
        for digest in digests { parts.arrived(digest) }
        return digests
    }

    private static func insert(
        _ raw: UnsafeRawBufferPointer, _ names: [BlockAssembly.Name], _ store: ChunkStore, _ pins: ChunkPins,
        _ owner: UInt64
    ) throws -> [Digest] {
        var at = 0
        return try names.map { name in
            let bytes = UnsafeRawBufferPointer(rebasing: raw[at..<at + Int(name.length)])
            at += Int(name.length)
            let digest = Digest.sha256(of: bytes)
            guard name.prefix.matches(digest) else {
                throw PeersError(.lying, "bytes that were sent as a chunk of a block are another: \(digest)")
            }
            // Nothing refers to it before its block is complete.
            pins.add([digest], owner)
            _ = try store.insert(digest, kind: .data, raw: bytes)
            return digest
        }
    }

    /// Puts the lists of complete blocks into the store where they are right. Returns those that are not.
    private func finish(_ assembly: inout BlockAssembly) throws -> [Int] {
        var wrong: [Int] = []
        for (block, list) in assembly.takeComplete() {
            let encoded = list.encoded()
            let digest = encoded.withUnsafeBytes { Digest.sha256(of: $0) }
            guard digest == map.manifest.blocks[block].digest else {
                wrong.append(block)
                continue
            }
            _ = try encoded.withUnsafeBytes { try store.insert(digest, kind: .blockList, raw: $0) }
            parts.arrived(digest)
        }
        return wrong
    }
}
