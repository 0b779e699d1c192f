// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Objects

/// The names of an open directory, loaded page by page as the reader goes on.
///
/// An offset is a position in it, stable until the directory is rewound, whatever happens to the directory meanwhile: a
/// name that is there from the beginning to the end of a listing is in it once. Of what was read only the names are
/// kept, so that a directory of 100,000 names costs a few megabytes.
final class DirectoryListing: Sendable {
    /// Names loaded at a time: about what one 128 KiB answer of readdirplus holds.
    static let page = 1024

    struct Item: Sendable {
        let name: String
        /// Nil where the name is gone since it was read, and the reader went back to it.
        let node: Node?
        /// ``Tree/publicationCount`` from before it was read.
        let readAt: UInt64
    }

    private struct State {
        /// Every name so far, those of files being written first.
        var names: [String] = []
        /// What the names of the last page lead to, which begins at `start`.
        var page: [Node] = []
        var start = 0
        var readAt: UInt64 = 0
        var staged: Set<PathText> = []
        var last: String?
        var isComplete = false
    }

    private let state = NIOLockedValueBox(State())

    /// Begins anew: what the directory holds now.
    func rewind(_ directory: String, of tree: Tree) {
        let readAt = tree.publicationCount
        let staged = tree.staged.names(in: directory)
        state.withLockedValue { state in
            state = State()
            state.readAt = readAt
            state.names = staged.map(\.name)
            state.page = staged.map { .staged($0.file) }
            state.staged = Set(staged.map { PathText($0.name) })
        }
    }

    private enum Step {
        case item(Item)
        case again(name: String)
        case load(after: String?)
        case end
    }

    /// The item at a position, loading a page where that is needed; nil at the end.
    ///
    /// - Parameter directory: its text now; it may be renamed while it is read.
    func item(at position: Int, of directory: String, from tree: Tree) throws(ObjectError) -> Item? {
        while true {
            let step: Step = state.withLockedValue { state in
                guard position < state.names.count else { return state.isComplete ? .end : .load(after: state.last) }
                let name = state.names[position]
                guard position >= state.start else { return .again(name: name) }
                return .item(Item(name: name, node: state.page[position - state.start], readAt: state.readAt))
            }
            switch step {
            case .item(let item): return item
            case .end: return nil
            case .again(let name):
                let readAt = tree.publicationCount
                return Item(name: name, node: try node(name, in: directory, tree), readAt: readAt)
            case .load(let last): try load(directory, after: last, from: tree)
            }
        }
    }

    private func load(_ directory: String, after last: String?, from tree: Tree) throws(ObjectError) {
        let readAt = tree.publicationCount
        let page = try tree.cache.children(of: directory, after: last, limit: DirectoryListing.page)
        state.withLockedValue { state in
            guard state.last == last, !state.isComplete else { return }
            state.readAt = readAt
            state.isComplete = page.count < DirectoryListing.page
            state.last = page.last?.name ?? last
            let new = page.filter { !state.staged.contains(PathText($0.name)) }
            state.start = state.names.count
            state.names += new.map(\.name)
            state.page = new.map { child in
                guard let entry = child.entry, entry.body != .directory else {
                    return .directory(text: directory + "/" + child.name)
                }
                return .published(PublishedVersion(entry))
            }
        }
    }

    /// What a name of an earlier page leads to now.
    private func node(_ name: String, in directory: String, _ tree: Tree) throws(ObjectError) -> Node? {
        guard let key = try? Key(parent: directory, name: name) else { return nil }
        if let file = tree.staged[key], file.isVisible { return .staged(file) }
        if let entry = try tree.cache.lookup(key), entry.body != .directory {
            return .published(PublishedVersion(entry))
        }
        return try tree.cache.isDirectory(key.text) ? .directory(text: key.text) : nil
    }
}
