// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import NIOConcurrencyHelpers
import Storage

/// An object that readers have open, shared by all of them: its block map, the block lists in use, and which of its
/// blocks are known to be here.
///
/// While it exists its manifest is a root of the collector, so what it has brought stays.
final class OpenObject: Sendable {
    /// Block lists kept decoded: 64 blocks are about 256 MiB of the object around its readers, in 200 KiB of memory.
    static let blockListCountMax = 64
    /// Block lists asked for in one request: 64 are about 150 KiB.
    static let blockListBatch = 64

    private struct State {
        var map: BlockMap?
        var lists: [Int: BlockList] = [:]
        var order: [Int] = []
        var present: [Bool] = []
        var presentCount = 0
        var whole: Bool
        var isFetching = false
        var isLooking = false
        /// Blocks that are asked for ahead of readers.
        var asked: Set<Int> = []
    }

    let manifest: Digest
    private let store: Store
    private let state: NIOLockedValueBox<State>

    init(manifest: Digest, whole: Bool, store: Store) {
        self.manifest = manifest
        self.store = store
        self.state = NIOLockedValueBox(State(whole: whole))
    }

    /// Every block is here, as far as this agent knows.
    var isWhole: Bool { state.withLockedValue { $0.whole } }

    /// Whether the caller is the one who sees to the fetching of an object that is not whole.
    func beginsFetching() -> Bool {
        state.withLockedValue { state in
            guard !state.whole, !state.isFetching else { return false }
            state.isFetching = true
            return true
        }
    }

    func endsFetching() { state.withLockedValue { $0.isFetching = false } }

    /// Whether the caller is the one who asks for a block ahead of readers.
    func beginsAsking(_ block: Int) -> Bool { state.withLockedValue { $0.asked.insert(block).inserted } }

    func endsAsking(_ block: Int) { state.withLockedValue { _ = $0.asked.remove(block) } }

    /// Whether the caller is the one who looks for what lacks ahead of readers.
    func beginsLooking() -> Bool {
        state.withLockedValue { state in
            defer { state.isLooking = true }
            return !state.isLooking
        }
    }

    func endsLooking() { state.withLockedValue { $0.isLooking = false } }

    /// The block map, from memory or the store; nil where the manifest is not here yet.
    func map() throws -> BlockMap? {
        if let map = state.withLockedValue({ $0.map }) { return map }
        guard let bytes = try store.chunks.read(manifest) else { return nil }
        let map = BlockMap(digest: manifest, manifest: try Manifest(decoding: bytes))
        state.withLockedValue { state in
            state.map = map
            state.present = Array(repeating: false, count: map.count)
        }
        return map
    }

    /// The chunks of a block, from memory or the store; nil where its list is not here yet.
    func list(_ block: Int, of map: BlockMap) throws -> BlockList? {
        if let list = state.withLockedValue({ $0.lists[block] }) { return list }
        let reference = map.manifest.blocks[block]
        guard let bytes = try store.chunks.read(reference.digest) else { return nil }
        let list = try BlockList(decoding: bytes)
        guard list.length == reference.length else {
            throw ObjectError(
                .corrupt,
                "block \(reference.digest) of object \(manifest) has \(list.length) bytes; its manifest says "
                    + "\(reference.length)"
            )
        }
        state.withLockedValue { state in
            guard state.lists.updateValue(list, forKey: block) == nil else { return }
            state.order.append(block)
            if state.order.count > OpenObject.blockListCountMax {
                state.lists[state.order.removeFirst()] = nil
            }
        }
        return list
    }

    /// Notes that all chunks of a block are in the store. Returns true once: when the last block came.
    func blockIsPresent(_ block: Int) -> Bool {
        state.withLockedValue { state in
            guard !state.whole, block < state.present.count, !state.present[block] else { return false }
            state.present[block] = true
            state.presentCount += 1
            guard state.presentCount == state.present.count else { return false }
            state.whole = true
            return true
        }
    }

    /// Notes that something that was here is not: it was evicted, or found damaged.
    func blockIsMissing(_ block: Int) {
        state.withLockedValue { state in
            if state.whole {
                state.whole = false
                state.present = Array(repeating: true, count: state.map?.count ?? 0)
                state.presentCount = state.present.count
            }
            guard block < state.present.count, state.present[block] else { return }
            state.present[block] = false
            state.presentCount -= 1
        }
    }

    func isPresent(_ block: Int) -> Bool {
        state.withLockedValue { $0.whole || (block < $0.present.count && $0.present[block]) }
    }
}
