// SPDX-License-Identifier: Apache-2.0

import Content

/// Chooses, for a chunk that the receiver lacks, the chunks of its bases that are most like it. Deterministic.
///
/// Three signs, which find different chunks: super-features in common; the same path in the base's outline, at about the
/// same place of the file; and what stands in the base where the chunk is expected, between the same neighbours.
public struct BaseChoice: Sendable {
    /// The most bases of one chunk; more cost the batch more than they save.
    public static let baseCountMax = 4
    /// The most chunks with the same super-feature that are compared: a feature that is everywhere says nothing.
    private static let sameFeatureMax = 16
    /// The most members of one chunk whose paths are looked up.
    private static let memberCountMax = 64

    private let bases: [BaseObject]
    /// Super-feature and its number, in order, with the chunk that has it.
    private let features: [Feature]

    private struct Feature: Sendable {
        let key: UInt64
        let base: UInt32
        let position: UInt32
    }

    public init(bases: [BaseObject]) {
        self.bases = bases
        var features: [Feature] = []
        for (number, base) in bases.enumerated() {
            for (position, sketch) in base.sketches {
                for (i, value) in sketch.features.enumerated() {
                    let key = UInt64(i) << 32 | UInt64(value)
                    features.append(Feature(key: key, base: UInt32(number), position: UInt32(position)))
                }
            }
        }
        self.features = features.sorted { ($0.key, $0.base, $0.position) < ($1.key, $1.base, $1.position) }
    }

    /// Whether there is nothing to choose from.
    var isEmpty: Bool { bases.allSatisfy { $0.sequence.count == 0 } }

    /// Bytes of a base's chunk.
    func length(at place: BasePosition) -> Int { Int(bases[place.base].sequence.chunks[place.position].length) }

    /// What is known of a chunk that is wanted.
    struct Target: Sendable {
        /// Its bytes, as a range of the wanted object.
        let range: Range<UInt64>
        let sketch: ChunkSketch
        /// Where the base goes on after the chunks before this one.
        let expected: BasePosition?
    }

    /// The chunk's bases, the best first; at most ``baseCountMax``, none where nothing resembles it.
    ///
    /// - Parameter members: of the wanted object, those that have bytes in the chunk.
    func bases(of target: Target, members: ArraySlice<Outline.Member>) -> [BasePosition] {
        var chosen: [BasePosition] = []
        func choose(_ position: BasePosition) {
            if chosen.count < BaseChoice.baseCountMax, !chosen.contains(position) { chosen.append(position) }
        }
        if let similar = similar(to: target) { choose(similar) }
        for position in samePath(as: target, members) { choose(position) }
        if let expected = target.expected, isChanged(at: expected) { choose(expected) }
        return chosen
    }

    /// The chunk with the most super-features in common; among equals the one nearest to where it is expected.
    private func similar(to target: Target) -> BasePosition? {
        var best: BasePosition?
        var most = (matches: 0, nearness: Int.min)
        for (i, value) in target.sketch.features.enumerated() {
            for feature in candidates(UInt64(i) << 32 | UInt64(value)) {
                let position = BasePosition(base: Int(feature.base), position: Int(feature.position))
                guard let other = bases[position.base].sketches[position.position] else { continue }
                let rank = (matches: target.sketch.matchCount(other), nearness: -distance(of: position, to: target))
                if rank > most { (best, most) = (position, rank) }
            }
        }
        return best
    }

    private func distance(of position: BasePosition, to target: Target) -> Int {
        let step =
            position.base == target.expected?.base
            ? abs(position.position - (target.expected?.position ?? 0)) : 1 << 20
        return abs(length(at: position) - target.range.count) + step
    }

    private func candidates(_ key: UInt64) -> ArraySlice<Feature> {
        var low = 0
        var high = features.count
        while low < high {
            let middle = (low + high) / 2
            if features[middle].key < key { low = middle + 1 } else { high = middle }
        }
        let end = features[low...].prefix(BaseChoice.sameFeatureMax).firstIndex { $0.key != key }
        return features[low..<(end ?? min(features.count, low + BaseChoice.sameFeatureMax))]
    }

    /// The chunks that hold the same parts of the same files, those that hold the most of them first.
    private func samePath(as target: Target, _ members: ArraySlice<Outline.Member>) -> [BasePosition] {
        var weights: [BasePosition: UInt64] = [:]
        for member in members.prefix(BaseChoice.memberCountMax) {
            let part = target.range.clamped(to: member.header..<max(member.header, member.end))
            for (number, base) in bases.enumerated() {
                guard let twin = BaseChoice.twin(of: member, in: base.outline) else { continue }
                // The same distance from the member's start, and no further than the twin goes.
                let start = twin.header + min(part.lowerBound - member.header, twin.end - twin.header)
                let end = min(twin.end, start + UInt64(part.count))
                for position in base.positions(covering: start..<max(start, end)) {
                    let overlap = base.range(of: position).clamped(to: start..<end).count
                    weights[BasePosition(base: number, position: position), default: 0] += UInt64(overlap)
                }
                break
            }
        }
        return weights.sorted { $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value }.map(\.key)
    }

    /// The member of the same path whose length is nearest.
    private static func twin(of member: Outline.Member, in outline: Outline?) -> Outline.Member? {
        let length = Int64(clamping: member.end - member.body)
        return outline?.members(of: member.pathHash).min {
            abs(Int64(clamping: $0.end - $0.body) - length) < abs(Int64(clamping: $1.end - $1.body) - length)
        }
    }

    /// Whether there is a chunk that the wanted object does not have: those are the ones that were sketched.
    private func isChanged(at position: BasePosition) -> Bool {
        position.base < bases.count && bases[position.base].sketches[position.position] != nil
    }
}
