// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Objects

/// The names of an open directory, loaded page by page as the reader goes on, so that a directory of 100,000 names
/// costs no more memory than was read of it. An offset is a position in it, stable until the directory is rewound.
final class DirectoryListing: Sendable {
    /// Names loaded at a time: about what one 128 KiB answer of readdirplus holds.
    static let page = 1024

    struct Item: Sendable {
        let name: String
        /// Nil for a directory that keys below it imply.
        let entry: Entry?
        let staged: StagedFile?
    }

    private struct State {
        var items: [Item] = []
        var staged: Set<String> = []
        var last: String?
        var isComplete = false
    }

    let directory: String
    private let state = NIOLockedValueBox(State())

    init(directory: String) { self.directory = directory }

    /// Begins anew: what the directory holds now.
    func rewind(staged files: StagedFiles) {
        let staged = files.names(in: directory)
        state.withLockedValue { state in
            state = State()
            state.items = staged.map { Item(name: $0.name, entry: nil, staged: $0.file) }
            state.staged = Set(staged.map(\.name))
        }
    }

    /// The item at a position, loading a page where that is needed; nil at the end.
    func item(at position: Int, from cache: ObjectCache) throws(ObjectError) -> Item? {
        while true {
            let (item, last, isComplete) = state.withLockedValue { state in
                (position < state.items.count ? state.items[position] : nil, state.last, state.isComplete)
            }
            if item != nil || isComplete { return item }
            let page = try cache.children(of: directory, after: last, limit: DirectoryListing.page)
            state.withLockedValue { state in
                guard state.last == last, !state.isComplete else { return }
                state.isComplete = page.count < DirectoryListing.page
                state.last = page.last?.name ?? last
                state.items += page.filter { !state.staged.contains($0.name) }
                    .map { Item(name: $0.name, entry: $0.entry, staged: nil) }
            }
        }
    }
}
