// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// The directory of staging files, and those of them that wait, empty, to be used again: making and removing a file
/// costs the disk's file system several times what writing a small one does.
final class StagingFolder: Sendable {
    /// A file that is nobody's or one staging file's.
    struct Slot: Sendable {
        let name: String
        let file: Descriptor
    }

    private struct State {
        var spare: [Slot] = []
        var made: UInt64 = 0
        var isOver = false
    }

    /// Files that wait at most: about as many as a parallel copy has open, each a descriptor and an empty file.
    static let spareCountMax = 64

    private let folder: Folder
    private let state = Mutex(State())

    /// - Parameter kept: files of it that will be gone on with.
    init(_ folder: Folder, kept: Set<String>) {
        self.folder = folder
        let last = kept.compactMap { UInt64($0) }.max() ?? 0
        state.withLock { $0.made = last }
    }

    /// A file that was kept.
    func resume(_ name: String) throws(StorageError) -> Slot { Slot(name: name, file: try folder.open(name, O_RDWR)) }

    /// An empty file.
    func take() throws(StorageError) -> Slot {
        let (spare, number) = state.withLock { state -> (Slot?, UInt64) in
            if let spare = state.spare.popLast() { return (spare, 0) }
            state.made += 1
            return (nil, state.made)
        }
        if let spare { return spare }
        return Slot(name: "\(number)", file: try folder.open("\(number)", O_RDWR | O_CREAT | O_EXCL))
    }

    /// Takes an empty file back, to be used again or removed.
    func giveBack(_ slot: Slot) {
        let isKept = state.withLock { state in
            guard !state.isOver, state.spare.count < StagingFolder.spareCountMax else { return false }
            state.spare.append(slot)
            return true
        }
        if !isKept { discard(slot) }
    }

    /// Removes a file that may not be used again.
    func discard(_ slot: Slot) { try? folder.remove(slot.name) }

    /// Removes those that wait, and keeps none any more.
    func close() {
        let spare = state.withLock { state in
            state.isOver = true
            defer { state.spare = [] }
            return state.spare
        }
        for slot in spare { discard(slot) }
    }
}
