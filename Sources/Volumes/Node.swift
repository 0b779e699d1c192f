// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE

/// What an inode number stands for, for as long as the kernel knows it.
enum Node: Sendable {
    /// The namespace (`ns`) or a directory below it (`ns/dir…`).
    case directory(text: String)
    /// One version of one key: an object or a symbolic link.
    case published(Entry)
    /// A key that this mount writes and that had no version when it was created.
    case staged(StagedFile)
    case special(SpecialNode)
}

/// The files that the mount itself has, below `.larder`.
enum SpecialNode: String, Sendable, CaseIterable {
    case directory = ".larder"
    /// Each line that is written is a key below this volume that will be read elsewhere soon.
    case hint
    /// What the agent says of itself, made when it is opened.
    case status

    /// Inode numbers below those that the table gives out.
    var inode: UInt64 {
        switch self {
        case .directory: 2
        case .hint: 3
        case .status: 4
        }
    }
}
