// SPDX-License-Identifier: Apache-2.0

import Content
import Hummingbird
import Metrics
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Storage

// Who may read an object: whoever may read a namespace in which a key names it. A digest is no key: who only knows the
// digest of an object or a chunk is told that it is absent.

extension PeerService {
    /// Whether rights reach an object.
    ///
    /// A reader keeps what it opened (P3): the namespaces that named an object are remembered for as long as leases
    /// last, whatever happens to its keys meanwhile.
    func mayRead(_ manifest: Digest, _ rights: Rights) async throws -> Bool {
        if rights.mayReadEverything { return true }
        let catalog = directory.catalog
        let keys = try await NIOThreadPool.singleton.runIfActive { try catalog.keys(of: manifest) }
        let named = state.withLockedValue {
            $0.security.grant(manifest, named: Set(keys.map { String($0.namespace) }), for: limits.grant)
        }
        return named.contains { rights.mayRead($0) }
    }

    /// Whether rights reach everything that a request asks for: its object, and chunks that are the object's.
    func mayRead(_ request: ChunkRequest, _ rights: Rights) async throws -> Bool {
        if rights.mayReadEverything { return true }
        guard try await mayRead(request.manifest, rights) else { return false }
        return try await belong(request)
    }

    /// A request over a link as far as rights reach: without the bases that they do not. An older version of a key is in
    /// the key's namespace, too.
    ///
    /// - Returns: nil where they do not reach the object itself.
    func readable(_ request: DeltaRequest, _ rights: Rights) async throws -> DeltaRequest? {
        if rights.mayReadEverything { return request }
        guard try await mayRead(request.manifest, rights) else { return nil }
        var hidden: Set<Digest> = []
        for base in request.bases where try await !mayRead(base, rights) {
            let catalog = directory.catalog
            let former = try await NIOThreadPool.singleton.runIfActive { try catalog.formerKeys(of: base) }
            if !former.contains(where: { rights.mayRead(String($0.namespace)) }) { hidden.insert(base) }
        }
        return request.hiding(hidden)
    }

    /// The answer to a request that rights do not reach: the same as that of an agent that has nothing.
    func withheld(_ request: ChunkRequest) -> Response {
        metrics.readsRefused.increment()
        var out = ByteBuffer()
        for start in stride(from: 0, to: request.chunks.count, by: ChunkServing.groupCount) {
            let end = min(start + ChunkServing.groupCount, request.chunks.count)
            out.writeBytes(FrameEncoder().encode(.absent(Array(request.chunks[start..<end]))))
        }
        out.writeBytes(FrameEncoder().encode(.end))
        return Response(status: .ok, body: .init(byteBuffer: out))
    }

    /// Whether the chunks of a request are its object's: the manifest, its block lists, the chunks that they name.
    ///
    /// Block lists are gone through from where the last request ended, those that are not here last, so that going
    /// through an object costs each of its lists once.
    private func belong(_ request: ChunkRequest) async throws -> Bool {
        var rest = Set(request.chunks)
        rest.remove(request.manifest)
        guard !rest.isEmpty else { return true }
        guard var scope = try await scope(of: request) else { return false }
        rest.subtract(scope.blocks)
        let order = Array(scope.at..<scope.blocks.count) + Array(0..<scope.at)
        var lacking: [Int] = []
        for block in order where !rest.isEmpty {
            guard let chunks = try await chunks(of: scope.blocks[block]) else {
                lacking.append(block)
                continue
            }
            if take(chunks, from: &rest) { scope.at = block }
        }
        for block in lacking where !rest.isEmpty {
            guard try await bring(scope.blocks[block], for: request),
                let chunks = try await chunks(of: scope.blocks[block])
            else { continue }
            if take(chunks, from: &rest) { scope.at = block }
        }
        scope.used = .now
        state.withLockedValue { [scope] in $0.security.keep(scope, of: request.manifest) }
        return rest.isEmpty
    }

    private func take(_ chunks: [Digest], from rest: inout Set<Digest>) -> Bool {
        let count = rest.count
        rest.subtract(chunks)
        return rest.count < count
    }

    private func scope(of request: ChunkRequest) async throws -> ObjectScope? {
        if let scope = state.withLockedValue({ $0.security.scopes[request.manifest] }) { return scope }
        let store = store.chunks
        if !store.contains(request.manifest) { _ = try await bring(request.manifest, for: request) }
        let bytes = try await NIOThreadPool.singleton.runIfActive { try store.read(request.manifest) }
        guard let bytes, let manifest = try? Manifest(decoding: bytes) else { return nil }
        return ObjectScope(blocks: manifest.blocks.map(\.digest))
    }

    private func chunks(of block: Digest) async throws -> [Digest]? {
        let store = store.chunks
        let bytes = try await NIOThreadPool.singleton.runIfActive { try store.read(block) }
        guard let bytes, let list = try? BlockList(decoding: bytes) else { return nil }
        return list.chunks.map(\.digest)
    }

    /// Has a chunk that the check needs brought here, as far as the request's level goes.
    private func bring(_ digest: Digest, for request: ChunkRequest) async throws -> Bool {
        guard request.level > .store, let provider = state.withLockedValue({ $0.provider }) else { return false }
        do {
            try await provider.makeAvailable(request.narrowed(to: [digest]))
        } catch let error as CancellationError {
            throw error
        } catch {
            // The provider reports why; here it only cannot be shown that the caller may have the chunk.
            return false
        }
        return store.chunks.contains(digest)
    }
}
