// SPDX-License-Identifier: Apache-2.0

public import Content

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
    /// The wanted chunks themselves, as a base with the number after the last: what crosses first is a base for the rest.
    private let targets: [(chunk: ChunkReference, sketch: ChunkSketch?)]

    private struct Feature: Sendable {
        let key: UInt64
        let base: UInt32
        let position: UInt32
    }

    /// - Parameter targets: the wanted chunks in the order in which they cross, where they may be bases of later ones.
    public init(bases: [BaseObject], targets: [(chunk: ChunkReference, sketch: ChunkSketch?)] = []) {
        self.bases = bases
        self.targets = targets
        var features: [Feature] = []
        func add(_ base: Int, _ position: Int, _ sketch: ChunkSketch) {
            for (i, value) in sketch.features.enumerated() {
                let key = UInt64(i) << 32 | UInt64(value)
                features.append(Feature(key: key, base: UInt32(base), position: UInt32(position)))
            }
        }
        for (number, base) in bases.enumerated() {
            for (position, sketch) in base.sketches { add(number, position, sketch) }
        }
        for (number, target) in targets.enumerated() {
            if let sketch = target.sketch { add(bases.count, number, sketch) }
        }
        self.features = features.sorted { ($0.key, $0.base, $0.position) < ($1.key, $1.base, $1.position) }
    }

    /// What is known of a chunk that is wanted.
    public struct Target: Sendable {
        public let chunk: ChunkReference
        /// Its bytes, as a range of the wanted object.
        public let range: Range<UInt64>
        public let sketch: ChunkSketch?
        /// Where the base goes on after the chunks before this one.
        public let expected: BasePosition

        public init(chunk: ChunkReference, range: Range<UInt64>, sketch: ChunkSketch?, expected: BasePosition) {
            self.chunk = chunk
            self.range = range
            self.sketch = sketch
            self.expected = expected
        }
    }

    /// The chunk's bases, the best first; at most ``baseCountMax``, none where nothing resembles it.
    ///
    /// - Parameters:
    ///   - outline: of the wanted object.
    ///   - crossed: how many of the wanted chunks have crossed before, and may be bases.
    public func bases(of target: Target, outline: Outline?, crossed: Int = 0) -> [BasePosition] {
        var chosen: [BasePosition] = []
        func choose(_ position: BasePosition) {
            if chosen.count < BaseChoice.baseCountMax, !chosen.contains(position) { chosen.append(position) }
        }
        if let similar = similar(to: target, crossed) { choose(similar) }
        if let outline { for position in samePath(as: target, outline) { choose(position) } }
        if isChanged(at: target.expected) { choose(target.expected) }
        return chosen
    }

    /// The chunk with the most super-features in common; among equals the one nearest to where it is expected.
    private func similar(to target: Target, _ crossed: Int) -> BasePosition? {
        guard let sketch = target.sketch else { return nil }
        var best: BasePosition?
        var most = (matches: 0, nearness: Int.min)
        for (i, value) in sketch.features.enumerated() {
            for feature in candidates(UInt64(i) << 32 | UInt64(value)) {
                let position = BasePosition(base: Int(feature.base), position: Int(feature.position))
                guard let other = self.sketch(at: position, crossed) else { continue }
                let rank = (matches: sketch.matchCount(other), nearness: -distance(of: position, to: target))
                if rank > most { (best, most) = (position, rank) }
            }
        }
        return best
    }

    private func sketch(at position: BasePosition, _ crossed: Int) -> ChunkSketch? {
        if position.base < bases.count { return bases[position.base].sketches[position.position] }
        return position.position < crossed ? targets[position.position].sketch : nil
    }

    private func distance(of position: BasePosition, to target: Target) -> Int {
        let chunk =
            position.base < bases.count
            ? bases[position.base].sequence.chunks[position.position] : targets[position.position].chunk
        let length = Int(chunk.length)
        let step = position.base == target.expected.base ? abs(position.position - target.expected.position) : 1 << 20
        return abs(length - Int(target.chunk.length)) + step
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
    private func samePath(as target: Target, _ outline: Outline) -> [BasePosition] {
        var weights: [BasePosition: UInt64] = [:]
        for member in outline.members(covering: target.range).prefix(BaseChoice.memberCountMax) {
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
