// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

/// Inode numbers and what they stand for.
///
/// A number names one version of one key and is never used again: the kernel's page cache belongs to the inode, so a
/// number that came to mean other bytes would give readers mixtures. Numbers only rise.
final class NodeTable: Sendable {
    static let root: UInt64 = 1
    /// Numbers below it are the root's and those of the mount's own files.
    static let firstFree: UInt64 = 16

    private enum Identity: Hashable {
        case directory(PathText)
        case published(Key, Version)
        case staged(ObjectIdentifier)
    }

    private struct State {
        var nodes: [UInt64: (node: Node, lookups: UInt64)] = [:]
        var numbers: [Identity: UInt64] = [:]
        var next = NodeTable.firstFree
    }

    private let state: NIOLockedValueBox<State>
    private let journal: Journal?

    /// - Parameter journal: where a successor finds what the kernel was given, in a mount that a holder keeps.
    init(root namespace: String, journal: Journal? = nil) {
        self.journal = journal
        var state = State()
        state.nodes[NodeTable.root] = (.directory(text: namespace), 1)
        state.numbers[.directory(PathText(namespace))] = NodeTable.root
        for special in SpecialNode.allCases { state.nodes[special.inode] = (.special(special), 1) }
        self.state = NIOLockedValueBox(state)
    }

    /// What a number stands for; nil for one that the kernel was never given or has forgotten.
    func node(_ inode: UInt64) -> Node? { state.withLockedValue { $0.nodes[inode]?.node } }

    /// The text of a directory's inode.
    func directory(_ inode: UInt64) -> String? {
        guard case .directory(let text) = node(inode) else { return nil }
        return text
    }

    /// The number of a node, counting one more reference of the kernel.
    func remember(_ node: Node) -> UInt64 {
        state.withLockedValue { state in
            var node = node
            // Found while it was being published: it has the version's number by now.
            if case .staged(let file) = node, let entry = file.adopted { node = .published(PublishedVersion(entry)) }
            guard let identity = NodeTable.identity(node) else {
                if case .special(let special) = node { return special.inode }
                return 0
            }
            if let inode = state.numbers[identity] {
                let count = (state.nodes[inode]?.lookups ?? 0) + 1
                state.nodes[inode]?.lookups = count
                journal?.change(.node, inode, a: count)
                return inode
            }
            let inode = state.next
            state.next += 1
            state.nodes[inode] = (node, 1)
            state.numbers[identity] = inode
            journal?.setCounter(.inode, state.next)
            journal?.write(node, inode, lookups: 1)
            return inode
        }
    }

    /// The number of a file being written, where the kernel knows it.
    func inode(of file: StagedFile) -> UInt64? {
        state.withLockedValue { $0.numbers[.staged(ObjectIdentifier(file))] }
    }

    /// The kernel dropped references.
    func forget(_ inode: UInt64, count: UInt64) {
        guard inode >= NodeTable.firstFree else { return }
        state.withLockedValue { state in
            guard let known = state.nodes[inode] else { return }
            guard known.lookups <= count else {
                state.nodes[inode]?.lookups -= count
                journal?.change(.node, inode, a: known.lookups - count)
                return
            }
            state.nodes[inode] = nil
            journal?.remove(.node, inode)
            if let identity = NodeTable.identity(known.node), state.numbers[identity] == inode {
                state.numbers[identity] = nil
            }
        }
    }

    /// The number of a directory that the kernel knows.
    func inode(ofDirectory text: String) -> UInt64? {
        state.withLockedValue { $0.numbers[.directory(PathText(text))] }
    }

    /// A new file was published: its number stays with it, for tools that look whether a file is still the one that
    /// they made. No page of it was cached under that number, because a file being written is read past the cache.
    func adopt(_ file: StagedFile, as entry: Entry) {
        state.withLockedValue { state in
            let identity = Identity.published(entry.key, entry.version)
            guard state.numbers[identity] == nil,
                let inode = state.numbers.removeValue(forKey: .staged(ObjectIdentifier(file)))
            else { return }
            state.numbers[identity] = inode
            set(.published(PublishedVersion(entry)), inode, &state)
            file.adopted = entry
        }
    }

    /// The same bytes have another entry now (renamed, chmod): the number stays with them.
    func replace(_ old: Entry, with new: Entry) {
        state.withLockedValue { state in
            guard let inode = state.numbers.removeValue(forKey: .published(old.key, old.version)) else { return }
            state.numbers[.published(new.key, new.version)] = inode
            set(.published(PublishedVersion(new)), inode, &state)
        }
    }

    /// A directory was renamed: it and every directory below it that the kernel knows have another text.
    func moveDirectories(from: String, to: String) {
        state.withLockedValue { state in
            for (identity, inode) in state.numbers {
                guard case .directory(let text) = identity, text.isWithin(from) else { continue }
                let moved = text.moved(from: from, to: to)
                state.numbers[identity] = nil
                state.numbers[.directory(PathText(moved))] = inode
                set(.directory(text: moved), inode, &state)
            }
        }
    }

    private func set(_ node: Node, _ inode: UInt64, _ state: inout State) {
        guard let lookups = state.nodes[inode]?.lookups else { return }
        state.nodes[inode]?.node = node
        journal?.write(node, inode, lookups: lookups)
    }

    /// Takes in what a predecessor gave to the kernel.
    func restore(_ nodes: [(inode: UInt64, node: Node, lookups: UInt64)], next: UInt64) {
        state.withLockedValue { state in
            for (inode, node, lookups) in nodes {
                state.nodes[inode] = (node, lookups)
                if let identity = NodeTable.identity(node) { state.numbers[identity] = inode }
            }
            state.next = max(state.next, next)
        }
    }

    /// Every published version that the kernel has a number of.
    var published: [PublishedVersion] {
        state.withLockedValue { state in
            state.nodes.values.compactMap { known in
                if case .published(let version) = known.node { version } else { nil }
            }
        }
    }

    var count: Int { state.withLockedValue { $0.nodes.count } }

    private static func identity(_ node: Node) -> Identity? {
        switch node {
        case .directory(let text): .directory(PathText(text))
        case .published(let version): .published(version.key, version.version)
        case .staged(let file): .staged(ObjectIdentifier(file))
        case .special: nil
        }
    }
}
