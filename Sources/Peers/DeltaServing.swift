// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Hummingbird
import Metrics
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Storage

extension PeerService {
    /// Answers a request for a part of an object with a stream of frames.
    func deltas(_ request: Request, _ caller: Caller, _ channel: any Channel) async throws -> Response {
        let body = Array(buffer: try await request.body.collect(upTo: DeltaRequest.byteCountMax))
        let asked = try DeltaRequest(decoding: body)
        if caller.isLink {
            metrics.link(.received, site: caller.site, class: asked.priority.label, bytes: body.count)
        }
        guard let wanted = try await readable(asked, caller.rights) else {
            metrics.readsRefused.increment()
            return Response(status: .ok, body: .init(byteBuffer: ByteBuffer(bytes: FrameEncoder().encode(.end))))
        }
        return try await stream(wanted.id, wanted.priority, caller, channel) { sender in
            try await DeltaServing(service: self, request: wanted, sender: sender).run()
        }
    }
}

/// One request of a link that is being answered. Holds one batch and its bases at a time; reads and encodes on the
/// thread pool.
struct DeltaServing: Sendable {
    let service: PeerService
    let request: DeltaRequest
    let sender: FrameSender
    private var store: ChunkStore { service.store.chunks }

    init(service: PeerService, request: DeltaRequest, sender: FrameSender) {
        self.service = service
        self.request = request
        self.sender = sender
    }

    func run() async throws {
        try await makeAvailable([request.manifest])
        if let manifest = try await offLoop({ try store.read(request.manifest).map(Manifest.init(decoding:)) }) {
            switch request.part {
            case .manifest: try await sendManifest(manifest)
            case .skeletons(let ranges): try await sendSkeletons(ranges.flatMap(\.self), of: manifest)
            case .chunks(let selections): try await sendChunks(selections, of: manifest)
            }
        }
        // What was not sent by now is not to be had here.
        try await sender.send(.end)
    }

    /// Brings here what this agent lacks and another of its site has.
    private func makeAvailable(_ digests: [Digest]) async throws {
        let missing = digests.filter { !store.contains($0) }
        guard !missing.isEmpty, request.level > .store else { return }
        guard let provider = service.state.withLockedValue({ $0.provider }) else { return }
        let request = ChunkRequest(
            id: request.id,
            manifest: request.manifest,
            chunks: missing,
            level: request.level,
            priority: request.priority
        )
        // What could not be had is left out; why it could not is the provider's to report.
        try await sender.whileWorking { try? await provider.makeAvailable(request) }
    }

    private func offLoop<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await NIOThreadPool.singleton.runIfActive(body)
    }

    private func sendManifest(_ manifest: Manifest) async throws {
        let message = try await offLoop {
            var used: UInt8 = 0
            var bases: [Manifest] = []
            for (number, base) in request.bases.enumerated() {
                if let bytes = try store.read(base) {
                    bases.append(try Manifest(decoding: bytes))
                    used |= 1 << UInt8(number)
                } else {
                    bases.append(Manifest(algorithm: 0, blocks: []))
                }
            }
            return MessageFrame(usedBases: used, raw: ManifestDelta.encode(manifest, against: bases))
        }
        try await sender.send(.message(message))
    }

    private func sendSkeletons(_ blocks: [Int], of manifest: Manifest) async throws {
        guard blocks.allSatisfy({ $0 < manifest.blocks.count }) else { return }
        try await makeAvailable(blocks.map { manifest.blocks[$0].digest })
        let message = try await offLoop { () -> MessageFrame? in
            guard let lists = try lists(blocks, of: manifest) else { return nil }
            let shapes = try request.bases.map { try service.shapes.shape(of: $0) }
            let sequences = shapes.map { $0?.sequence ?? ChunkSequence(chunks: []) }
            let used = shapes.enumerated().reduce(UInt8(0)) { $1.element == nil ? $0 : $0 | 1 << UInt8($1.offset) }
            return MessageFrame(usedBases: used, raw: BlockSkeleton.encode(lists, against: sequences))
        }
        if let message { try await sender.send(.message(message)) }
    }

    private func lists(_ blocks: [Int], of manifest: Manifest) throws -> [BlockList]? {
        var lists: [BlockList] = []
        for block in blocks {
            guard let bytes = try store.read(manifest.blocks[block].digest) else { return nil }
            lists.append(try BlockList(decoding: bytes))
        }
        return lists
    }

    /// Bases are of use only to who knows all of the object: its lists, where another agent of the site made it.
    private func makeListsAvailable(of manifest: Manifest) async throws {
        let most = ObjectShapes.chunkCountMax / ManifestBuilder.chunkCountMin
        guard !request.bases.isEmpty, manifest.blocks.count <= most else { return }
        let lists = manifest.blocks.map(\.digest)
        for start in stride(from: 0, to: lists.count, by: service.limits.digestsMax) {
            try await makeAvailable(Array(lists[start..<min(lists.count, start + service.limits.digestsMax)]))
        }
    }

    private func sendChunks(_ selections: [BlockSelection], of manifest: Manifest) async throws {
        guard selections.allSatisfy({ $0.block < manifest.blocks.count }) else { return }
        try await makeListsAvailable(of: manifest)
        try await makeAvailable(selections.map { manifest.blocks[$0.block].digest })
        guard let lists = try await offLoop({ try lists(selections.map(\.block), of: manifest) }) else { return }
        let isSound = zip(selections, lists).allSatisfy { ($0.chunks.last ?? 0) < $1.chunks.count }
        guard isSound else { return }
        try await makeAvailable(
            zip(selections, lists).flatMap { pair in pair.0.chunks.map { pair.1.chunks[$0].digest } })
        let source = try await sender.whileWorking {
            try await service.deltaSources.source(for: request, of: manifest, service)
        }
        try await send(BatchReader(source, zip(selections, lists), of: manifest, store), source)
    }

    /// Batches of one request that are encoded or wait to be sent, beside the one that is being sent: one a core, so
    /// that both ends of the pool's threads have work, and a few megabytes of memory.
    private static let batchesAhead = 2

    /// Sends batches as they are read and encoded, in whatever order they are ready.
    private func send(_ reader: BatchReader, _ source: DeltaSource) async throws {
        try await withThrowingTaskGroup(of: DeltaFrame.self) { [store] group in
            var reader = reader
            var underWay = 0
            while true {
                try Task.checkCancellation()
                let (next, read) = try await offLoop { [reader] in
                    var reader = reader
                    let read = try reader.next()
                    return (reader, read)
                }
                reader = next
                guard let read else { break }
                group.addTask {
                    try await NIOThreadPool.singleton.runIfActive { try source.encode(read.batch, read.raw, store) }
                }
                underWay += 1
                if underWay >= DeltaServing.batchesAhead, let frame = try await group.next() {
                    underWay -= 1
                    try await sender.send(.delta(frame))
                }
            }
            for try await frame in group { try await sender.send(.delta(frame)) }
        }
    }
}
