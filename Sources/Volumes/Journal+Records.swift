// SPDX-License-Identifier: Apache-2.0

import Content
import Objects

// What the records of each kind hold. A change of these is a change of the mount's memory: an agent that writes it in
// another way gives `RequestMemory.layout` another number.

extension Journal {
    private enum NodeFlag {
        static let directory: UInt16 = 0
        static let published: UInt16 = 1
        static let staged: UInt16 = 2
    }

    private enum HandleFlag {
        static let reader: UInt16 = 0
        static let writer: UInt16 = 1
        static let appending: UInt16 = 2
        static let stagedReader: UInt16 = 3
        static let directory: UInt16 = 4
        static let status: UInt16 = 5
        static let hint: UInt16 = 6
        static let program: UInt16 = 7
    }

    /// The mount's own files have numbers of their own and are not kept.
    func write(_ node: Node, _ inode: UInt64, lookups: UInt64) {
        switch node {
        case .directory(let text):
            write(.node, inode, a: lookups, flags: NodeFlag.directory, payload: Array(text.utf8))
        case .published(let version):
            let payload = version.entry.encoded()
            write(.node, inode, a: lookups, b: version.size, flags: NodeFlag.published, payload: payload)
        case .staged(let file): write(.node, inode, a: lookups, b: file.id, flags: NodeFlag.staged)
        case .special: break
        }
    }

    /// Nil for a node whose file is over.
    static func node(_ record: Record, staged: [UInt64: StagedFile]) throws -> Node? {
        switch record.flags {
        case NodeFlag.directory: .directory(text: String(decoding: record.payload, as: UTF8.self))
        case NodeFlag.published:
            .published(PublishedVersion(stripped: try Entry(decoding: record.payload), size: record.b))
        default: staged[record.b].map { .staged($0) }
        }
    }

    func write(_ handle: Handle, _ number: UInt64, _ unique: UInt64) {
        switch handle {
        case .reader(let reader):
            write(.handle, number, a: unique, flags: HandleFlag.reader, payload: reader.entry.encoded())
        case .writer(let file, let appends):
            let flag = appends ? HandleFlag.appending : HandleFlag.writer
            write(.handle, number, a: unique, b: file.id, flags: flag)
        case .stagedReader(let file):
            write(.handle, number, a: unique, b: file.id, flags: HandleFlag.stagedReader)
        case .directory: write(.handle, number, a: unique, flags: HandleFlag.directory)
        case .status(let bytes): write(.handle, number, a: unique, flags: HandleFlag.status, payload: bytes)
        case .hint: write(.handle, number, a: unique, flags: HandleFlag.hint)
        case .program: write(.handle, number, a: unique, flags: HandleFlag.program)
        }
    }

    /// Nil for a handle of a file that is not there.
    func handle(_ record: Record, staged: [UInt64: StagedFile], of tree: Tree) throws -> Handle? {
        switch record.flags {
        case HandleFlag.reader: .reader(try tree.cache.open(try Entry(decoding: record.payload)))
        case HandleFlag.writer: staged[record.b].map { .writer($0, appends: false) }
        case HandleFlag.appending: staged[record.b].map { .writer($0, appends: true) }
        case HandleFlag.stagedReader: staged[record.b].map { .stagedReader($0) }
        case HandleFlag.directory: .directory(DirectoryListing(note: (self, record.id)))
        case HandleFlag.status: .status(record.payload)
        case HandleFlag.program: tree.program.map { .program($0) }
        default: .hint(HintLines())
        }
    }

    func write(_ state: WriterState, _ id: UInt64, _ flags: UInt16, awaited: Int32, isNew: Bool) {
        var out = ByteWriter(reserving: 128)
        out.text(state.key.text)
        out.text(state.staging)
        out.blob(state.base?.encoded() ?? [])
        let modified = UInt64(bitPattern: state.metadata.modified)
        let mode = UInt64(state.metadata.mode) | UInt64(UInt32(bitPattern: awaited)) << 32
        write(.staged, id, a: modified, b: mode, flags: flags, payload: out.bytes, isNew: isNew)
    }

    /// Names of a directory as one reader was given them.
    struct Page: Sendable {
        let names: [String]
        /// The name after which the next page begins; empty for the beginning.
        let last: String
        /// They are those of files that were being written.
        let isStaged: Bool
        let isComplete: Bool
    }

    func write(_ page: Page, _ id: UInt64) {
        let flags: UInt16 = (page.isStaged ? 1 : 0) | (page.isComplete ? 2 : 0)
        let payload = Array((page.names + [page.last]).joined(separator: "\0").utf8)
        write(.page, id, flags: flags, payload: payload)
    }

    static func page(_ record: Record) -> Page {
        let parts = record.payload.split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        return Page(
            names: Array(parts.dropLast()), last: parts.last ?? "", isStaged: record.flags & 1 != 0,
            isComplete: record.flags & 2 != 0)
    }

    static func writer(_ record: Record) throws -> WriterState {
        var reader = ByteReader(record.payload)
        let key = try Key(try reader.text(max: Key.byteCountMax))
        let staging = try reader.text(max: 64)
        let base = Array(try reader.blob(max: 1 << 16))
        return WriterState(
            key: key,
            metadata: Metadata(
                mode: UInt16(truncatingIfNeeded: record.b), modified: Int64(bitPattern: record.a)),
            isTimePinned: record.flags & StagedFile.Flag.timePinned != 0,
            isModified: record.flags & StagedFile.Flag.modified != 0,
            isDurable: record.flags & StagedFile.Flag.durable != 0,
            staging: staging,
            base: base.isEmpty ? nil : try Entry(decoding: base)
        )
    }
}
