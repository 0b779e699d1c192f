// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE

/// What an inode number stands for, for as long as the kernel knows it.
enum Node: Sendable {
    /// The namespace (`ns`) or a directory below it (`ns/dir…`).
    case directory(text: String)
    /// One version of one key: an object or a symbolic link.
    case published(PublishedVersion)
    /// A key that this mount writes: one that had no version when it was created, or the next version of one that had.
    case staged(StagedFile)
    case special(SpecialNode)
}

/// One version of one key as far as its names and attributes need it: the bytes of a small object are not here, or a
/// hundred thousand names that the kernel remembers would hold them all in memory.
struct PublishedVersion: Sendable, Hashable {
    /// Without the bytes of an object that travels in its entry.
    let entry: Entry
    /// Bytes of the object or of the link's target.
    let size: UInt64

    init(_ entry: Entry) {
        size = entry.size
        guard case .inline = entry.body else {
            self.entry = entry
            return
        }
        self.entry = Entry(key: entry.key, version: entry.version, body: .inline([]), metadata: entry.metadata)
    }

    /// As ``init(_:)`` left it behind.
    init(stripped entry: Entry, size: UInt64) {
        self.entry = entry
        self.size = size
    }

    var key: Key { entry.key }
    var version: Version { entry.version }
    var metadata: Metadata { entry.metadata }

    /// The bytes of the object are in the catalog's entry only.
    var isInCatalog: Bool { if case .inline = entry.body { size > 0 } else { false } }
    /// The target, where it is a symbolic link.
    var target: String? { if case .symlink(let target) = entry.body { target } else { nil } }
}

/// The files that the mount itself has, below `.larder`.
enum SpecialNode: String, Sendable, CaseIterable {
    case directory = ".larder"
    case programs = "bin"
    /// Each line that is written is a key below this volume that will be read elsewhere soon.
    case hint
    /// What the agent says of itself, made when it is opened.
    case status
    /// The agent's own program, which is the command line too.
    case program = "larder"

    /// Inode numbers below those that the table gives out.
    var inode: UInt64 {
        switch self {
        case .directory: 2
        case .hint: 3
        case .status: 4
        case .programs: 5
        case .program: 6
        }
    }

    /// What is in it, where it is a directory, in the order of the names.
    var children: [SpecialNode] {
        switch self {
        case .directory: [.programs, .hint, .status]
        case .programs: [.program]
        case .hint, .status, .program: []
        }
    }

    var isDirectory: Bool { !children.isEmpty }
}
