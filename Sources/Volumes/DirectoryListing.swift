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
        /// Pages that a successor would find.
        var kept = 0
    }

    /// Where it is kept for a successor, under the number of its handle.
    private let note: (journal: Journal, handle: UInt64)?
    private let state = NIOLockedValueBox(State())

    init(note: (journal: Journal, handle: UInt64)? = nil) { self.note = note }

    /// Goes on where a predecessor was, with the same names at the same positions.
    func restore(_ pages: [Journal.Page]) {
        state.withLockedValue { state in
            for page in pages {
                state.names += page.names
                if page.isStaged { state.staged.formUnion(page.names.map { PathText($0) }) }
                if !page.last.isEmpty { state.last = page.last }
                state.isComplete = page.isComplete
            }
            state.start = state.names.count
            state.kept = pages.count
        }
    }

    /// Nobody will go on with it.
    func end() { state.withLockedValue { forget(&$0) } }

    private func forget(_ state: inout State) {
        guard let note else { return }
        for page in 0..<state.kept { note.journal.remove(.page, Journal.pageID(handle: note.handle, page: page)) }
        state.kept = 0
    }

    /// Keeps names for a successor, before the kernel is told of them.
    private func keep(_ names: [String], isStaged: Bool, _ state: inout State) {
        guard let note else { return }
        let page = Journal.Page(names: names, last: state.last ?? "", isStaged: isStaged, isComplete: state.isComplete)
        note.journal.write(page, Journal.pageID(handle: note.handle, page: state.kept))
        state.kept += 1
    }

    /// Begins anew: what the directory holds now.
    func rewind(_ directory: String, of tree: Tree) {
        let readAt = tree.publicationCount
        let staged = tree.staged.names(in: directory)
        state.withLockedValue { state in
            forget(&state)
            state = State()
            state.readAt = readAt
            state.names = staged.map(\.name)
            state.page = staged.map { .staged($0.file) }
            state.staged = Set(staged.map { PathText($0.name) })
            if !staged.isEmpty { keep(state.names, isStaged: true, &state) }
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
            keep(new.map(\.name), isStaged: false, &state)
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
