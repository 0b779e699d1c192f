// SPDX-License-Identifier: Apache-2.0

import Chunking
public import Content
import Peers
import Storage

// What can be told of one object beside its bytes.

extension ObjectCache {
    /// The digest that names an object: that of its manifest, also where the object is small enough to travel in its
    /// entry and has no manifest in any store. Nil for what is no object.
    public func digest(of entry: Entry) -> Digest? {
        switch entry.body {
        case .object(let manifest, _): return manifest
        case .inline(let bytes):
            var builder = ManifestBuilder()
            if !bytes.isEmpty {
                // Shorter than the shortest chunk, so it is one.
                let digest = bytes.withUnsafeBytes { Digest.sha256(of: $0) }
                _ = builder.append(ChunkReference(digest: digest, length: UInt32(bytes.count)))
                _ = builder.finish()
            }
            return Digest.sha256(of: builder.manifest.encoded())
        case .tombstone, .directory, .symlink: return nil
        }
    }

    /// Where an object's bytes are, and the names of the agents that hold it whole, this one as `local` and first.
    ///
    /// - Throws: ``ObjectError`` `io`.
    public func whereabouts(of entry: Entry) throws(ObjectError) -> (place: KeyStatus.Place, holders: [String]) {
        do {
            let (place, _) = try whereabouts(entry)
            guard let manifest = entry.manifest else { return (place, [KeyStatus.Place.local.rawValue]) }
            let names = Dictionary(
                peers.members().compactMap { member in member.agent.map { ($0, member.name) } },
                uniquingKeysWith: { first, _ in first }
            )
            let others = try store.catalog.holders(of: manifest).filter { $0 != peers.agent }
            let own = place == .local ? [KeyStatus.Place.local.rawValue] : []
            return (place, own + others.map { names[$0] ?? $0.hex }.sorted())
        } catch {
            throw ObjectError.from(error)
        }
    }
}
