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
    /// Answers a chunk request with a stream of frames.
    func chunks(_ request: Request, _ caller: Caller, _ channel: any Channel) async throws -> Response {
        let sizeMax = 64 + limits.digestsMax * Digest.byteCount
        let body = Array(buffer: try await request.body.collect(upTo: sizeMax))
        let wanted = try ChunkRequest(decoding: body, digestsMax: limits.digestsMax)
        guard try await mayRead(wanted, caller.rights) else { return withheld(wanted) }
        if caller.isLink {
            metrics.link(.received, site: caller.site, class: wanted.priority.label, bytes: body.count)
        }
        return try await stream(wanted.id, wanted.priority, caller, channel) { sender in
            try await ChunkServing(service: self, request: wanted, caller: caller, sender: sender).run()
        }
    }
}

/// One chunk request that is being answered: the chunks in the order in which they were asked for, each as soon as it
/// is here. Holds one group of chunks and one batch at a time.
public struct ChunkServing: Sendable {
    /// Chunks that are read, or asked of the provider, together: about 1 MiB.
    public static let groupCount = 16
    /// Groups that the provider works on at a time, so that a link is not idle while an answer comes back.
    static let groupsAhead = 4

    private let service: PeerService
    private let request: ChunkRequest
    private let caller: Caller
    private let sender: FrameSender

    init(service: PeerService, request: ChunkRequest, caller: Caller, sender: FrameSender) {
        self.service = service
        self.request = request
        self.caller = caller
        self.sender = sender
    }

    /// Chunks that wait to be sent over a link together.
    private struct Batch {
        var parts: [BatchFrame.Part] = []
        var raw: [UInt8] = []
    }

    func run() async throws {
        let groups = stride(from: 0, to: request.chunks.count, by: ChunkServing.groupCount).map {
            Array(request.chunks[$0..<min($0 + ChunkServing.groupCount, request.chunks.count)])
        }
        let provider = request.level > .store ? service.state.withLockedValue { $0.provider } : nil
        let ready = groups.map { _ in Signal() }
        var batch = Batch()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            var begun = 0
            for (at, group) in groups.enumerated() {
                while begun < min(groups.count, at + ChunkServing.groupsAhead) {
                    let missing = groups[begun].filter { !service.store.chunks.contains($0) }
                    let signal = ready[begun]
                    begun += 1
                    guard let provider, !missing.isEmpty else {
                        signal.set()
                        continue
                    }
                    let narrowed = request.narrowed(to: missing)
                    // What could not be had is told as absent; why it could not is the provider's to report.
                    tasks.addTask {
                        try? await provider.makeAvailable(narrowed)
                        signal.set()
                    }
                }
                if !ready[at].isSet { try await flush(&batch) }
                while !(await ready[at].wait(limit: service.limits.working)) {
                    try Task.checkCancellation()
                    try await sender.send(.working)
                }
                try await answer(group, &batch)
            }
            try await flush(&batch)
            try await sender.send(.end)
        }
    }

    /// Sends what is here of a group and says what is not.
    private func answer(_ group: [Digest], _ batch: inout Batch) async throws {
        var absent: [Digest] = []
        if caller.isLink {
            for digest in group {
                guard let (kind, raw) = try await decoded(digest) else {
                    absent.append(digest)
                    continue
                }
                batch.parts.append(BatchFrame.Part(digest: digest, kind: kind, length: raw.count))
                batch.raw += raw
                if batch.raw.count >= BatchFrame.rawByteCount { try await flush(&batch) }
            }
        } else {
            let store = service.store.chunks
            let found = try await NIOThreadPool.singleton.runIfActive {
                try group.map { digest in try store.readStored(digest) }
            }
            for (digest, chunk) in zip(group, found) {
                guard let chunk else {
                    absent.append(digest)
                    continue
                }
                let frame = StoredFrame(
                    digest: digest,
                    kind: chunk.kind,
                    codec: chunk.codec,
                    rawLength: chunk.rawLength,
                    payload: chunk.payload
                )
                try await sender.send(.stored(frame))
            }
        }
        if !absent.isEmpty {
            try await flush(&batch)
            try await sender.send(.absent(absent))
        }
    }

    /// A chunk decoded, with its kind.
    private func decoded(_ digest: Digest) async throws -> (ChunkKind, [UInt8])? {
        let store = service.store.chunks
        return try await NIOThreadPool.singleton.runIfActive {
            guard let chunk = try store.readStored(digest) else { return nil }
            let raw = try [UInt8](unsafeUninitializedCapacity: chunk.rawLength) { out, used in
                let all = UnsafeMutableRawBufferPointer(out)
                let room = UnsafeMutableRawBufferPointer(rebasing: all[..<chunk.rawLength])
                try chunk.payload.withUnsafeBytes { payload in
                    try Decompressor.withShared { try $0.decompress(chunk.codec, payload, into: room) }
                }
                used = chunk.rawLength
            }
            return (chunk.kind, raw)
        }
    }

    private func flush(_ batch: inout Batch) async throws {
        guard !batch.parts.isEmpty else { return }
        let (parts, raw) = (batch.parts, batch.raw)
        batch = Batch()
        let frame = try await NIOThreadPool.singleton.runIfActive { BatchFrame(parts: parts, raw: raw) }
        try await sender.send(.batch(frame))
    }
}
