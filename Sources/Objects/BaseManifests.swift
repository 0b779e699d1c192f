// SPDX-License-Identifier: Apache-2.0

public import Content
import NIOConcurrencyHelpers
import Peers
import Storage

/// Which objects a new one resembles: what its key named before, then what its neighbours in the directory name, the
/// latest first. A value: told what the catalog has, it says what to name as bases.
public struct BaseManifests: Sendable {
    /// A held object that may be a base.
    public struct Candidate: Hashable, Sendable {
        public let manifest: Digest
        /// Bytes of the object; nil where it is not known.
        public let size: UInt64?

        public init(manifest: Digest, size: UInt64?) {
            self.manifest = manifest
            self.size = size
        }
    }

    /// The most bases that chunks are encoded against: the sender reads of each what the object does not have.
    public static let encodingMax = 2
    /// How much larger or smaller a neighbour may be: a small file has nothing to give to an image, and an image costs
    /// a small file too much.
    public static let sizeFactorMax: UInt64 = 16
    /// A base of which nothing was found in the object yet is tried up to this size: the sender reads all of it.
    public static let unprovenByteCountMax: UInt64 = 1 << 30
    /// A base that has less than one of so many of the object's known chunks is not worth the reading.
    public static let knownPart = 16

    /// The bases to name when manifest and skeletons are asked for.
    ///
    /// - Parameters:
    ///   - former: what the object's keys named before, the latest first.
    ///   - neighbours: what other keys of the same directory name, the latest first.
    ///   - isHeld: whether an agent of the site holds an object whole.
    public static func named(
        for manifest: Digest, size: UInt64?, former: [Digest], neighbours: [Candidate], isHeld: (Digest) -> Bool
    ) -> [Digest] {
        var chosen: [Digest] = []
        for digest in former + neighbours.filter({ isComparable($0.size, size) }).map(\.manifest) {
            if chosen.count == DeltaRequest.basesMax { break }
            if digest == manifest || chosen.contains(digest) { continue }
            if isHeld(digest) { chosen.append(digest) }
        }
        return chosen
    }

    private static func isComparable(_ one: UInt64?, _ other: UInt64?) -> Bool {
        guard let one, let other else { return true }
        return max(one, other) / max(1, min(one, other)) < sizeFactorMax
    }

    /// The bases to encode chunks against, after skeletons showed how many chunks each has in common with the object.
    ///
    /// - Parameter known: for each named base that many chunks, and the base's bytes.
    /// - Returns: indexes of `known`, the best first.
    public static func encoding(known: [(chunks: Int, byteCount: UInt64)]) -> [Int] {
        let most = known.map(\.chunks).max() ?? 0
        guard most > 0 else {
            guard let first = known.first, first.byteCount <= unprovenByteCountMax else { return [] }
            return [0]
        }
        let worthy = known.indices.filter { known[$0].chunks * knownPart >= most && known[$0].chunks > 0 }
        return Array(worthy.sorted { (known[$0].chunks, -$0) > (known[$1].chunks, -$1) }.prefix(encodingMax))
    }
}

/// Looks up in the catalog what ``BaseManifests`` wants to know.
final class Relatives: Sendable {
    /// Neighbours that are looked at.
    private static let neighboursMax = 8
    /// Answers kept: a listing of a large directory for each block would be slow.
    private static let keptMax = 64
    private static let keptFor = Duration.seconds(10)

    private let store: Store
    private let peers: PeerService
    private let kept = NIOLockedValueBox<[Digest: (bases: [Digest], at: ContinuousClock.Instant)]>([:])

    init(store: Store, peers: PeerService) {
        self.store = store
        self.peers = peers
    }

    /// Objects that an agent of this site holds whole and that resemble the one of this manifest.
    func bases(of manifest: Digest) -> [Digest] {
        let now = ContinuousClock.now
        if let known = kept.withLockedValue({ $0[manifest] }), now - known.at < Relatives.keptFor { return known.bases }
        // No base is needed: without one more bytes cross.
        let bases = (try? find(manifest)) ?? []
        kept.withLockedValue { kept in
            if kept.count >= Relatives.keptMax { kept.removeAll() }
            kept[manifest] = (bases, now)
        }
        return bases
    }

    private func find(_ manifest: Digest) throws -> [Digest] {
        var former: [Digest] = []
        var neighbours: [BaseManifests.Candidate] = []
        var size: UInt64?
        for key in try store.catalog.keys(of: manifest).prefix(Relatives.neighboursMax) {
            if let entry = try store.catalog.entry(key), entry.manifest == manifest { size = entry.size }
            former += try store.catalog.formerManifests(of: key)
            let parent = String(key.parent)
            for (manifest, size) in try store.catalog.latestObjects(in: parent, limit: Relatives.neighboursMax) {
                neighbours.append(BaseManifests.Candidate(manifest: manifest, size: size))
            }
        }
        return BaseManifests.named(
            for: manifest,
            size: size,
            former: former,
            neighbours: neighbours,
            isHeld: isHeld
        )
    }

    private func isHeld(_ manifest: Digest) -> Bool {
        if let own = try? store.catalog.object(manifest), own.isWhole { return true }
        return !peers.sources(for: manifest, level: .site).isEmpty
    }
}
