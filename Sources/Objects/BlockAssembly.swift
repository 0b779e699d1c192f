// SPDX-License-Identifier: Apache-2.0

public import Content
public import Peers

/// Blocks on their way from skeletons to block lists: which of their chunks are known by digest, and which must be
/// asked for. A value; what it is told was found by those who read stores and links.
public struct BlockAssembly: Sendable {
    public typealias Name = ChunkName

    /// A chunk of a block.
    private struct Slot: Hashable, Sendable {
        let block: Int
        let index: Int
    }

    private struct Block: Sendable {
        let items: [BlockSkeleton.Item]
        var digests: [Digest?]
        var lacking: Int
    }

    private var blocks: [Int: Block] = [:]
    /// Where chunks stand whose digest is not known yet: equal ones are asked for once.
    private var places: [Name: [Slot]] = [:]
    /// Names in the order of the object.
    private var order: [Name] = []
    /// Blocks all of whose chunks are known and which were not taken yet.
    private var complete: [Int] = []

    /// - Parameters:
    ///   - find: says the digest of a new chunk that the store has already.
    public init<E: Error>(
        _ skeletons: [(block: Int, items: [BlockSkeleton.Item])], find: (Name) throws(E) -> Digest?
    ) throws(E) {
        for (number, items) in skeletons {
            var block = Block(items: items, digests: [], lacking: 0)
            block.digests.reserveCapacity(items.count)
            for (index, item) in items.enumerated() {
                switch item {
                case .known(let chunk): block.digests.append(chunk.digest)
                case .new(let length, let prefix):
                    let name = Name(prefix: prefix, length: length)
                    let digest: Digest? = places[name] == nil ? try find(name) : nil
                    block.digests.append(digest)
                    guard digest == nil else { continue }
                    block.lacking += 1
                    if places[name] == nil { order.append(name) }
                    places[name, default: []].append(Slot(block: number, index: index))
                }
            }
            blocks[number] = block
            if block.lacking == 0 { complete.append(number) }
        }
    }

    /// Chunks that are not known yet, in the order of the object.
    public var lacking: [Name] { order.filter { places[$0] != nil } }

    /// What to ask for so that these chunks come: in ascending order, with the names in the order of the request.
    public func request(for names: Set<Name>) -> (selections: [BlockSelection], names: [Name]) {
        let slots = order.filter(names.contains).compactMap { name in places[name]?.first.map { (name, $0) } }
            .sorted { ($0.1.block, $0.1.index) < ($1.1.block, $1.1.index) }
        var selections: [BlockSelection] = []
        var chunks: [Int] = []
        for (at, (_, slot)) in slots.enumerated() {
            chunks.append(slot.index)
            if at + 1 == slots.count || slots[at + 1].1.block != slot.block {
                selections.append(BlockSelection(block: slot.block, chunks: chunks))
                chunks = []
            }
        }
        return (selections, slots.map(\.0))
    }

    /// A chunk is known by digest now, and in the store.
    public mutating func found(_ name: Name, _ digest: Digest) {
        for slot in places.removeValue(forKey: name) ?? [] {
            blocks[slot.block]?.digests[slot.index] = digest
            blocks[slot.block]?.lacking -= 1
            if blocks[slot.block]?.lacking == 0 { complete.append(slot.block) }
        }
    }

    /// The lists of blocks that became complete since the last call. Each is a claim until its digest is checked.
    public mutating func takeComplete() -> [(block: Int, list: BlockList)] {
        defer { complete = [] }
        return complete.compactMap { number in
            guard let block = blocks.removeValue(forKey: number) else { return nil }
            let chunks = zip(block.items, block.digests).compactMap { item, digest in
                digest.map { ChunkReference(digest: $0, length: item.length) }
            }
            return (number, BlockList(chunks: chunks))
        }
    }
}
