// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Glibc
import Logging
import NIOConcurrencyHelpers
import Objects
import Synchronization

/// The mounted tree of one volume: the kernel's requests in, the object cache's answers out.
///
/// What is at hand is answered on the session's thread; what is not becomes a task that replies by itself.
///
/// - A published version is immutable, so its attributes and pages may be cached for ever; a new version is a new
///   inode, and the old name is invalidated before the publication is acknowledged.
/// - A file being written has an inode of its own, is read and written with direct I/O on its staging file, and is
///   published when its last handle is closed. Opening a published key for writing is answered ESTALE once, so that the
///   kernel looks the name up again and finds that inode: the published one is left to its readers (P3).
/// - The kernel holds a directory's lock while it creates, removes or renames in it, and wants that same lock to
///   invalidate a name. So what an operation of this mount itself changes is never invalidated: the kernel knows.
final class Tree: Operations {
    /// How long the kernel may believe names and attributes of published versions, in seconds: they are invalidated.
    static let publishedTimeout = 3600.0
    /// How long it may believe directories: one that is implied by its keys goes with the last of them, without a
    /// change of its own.
    static let directoryTimeout = 1.0
    /// How long it may believe the attributes of a file being written: every change of them is a request of its own
    /// to this mount, whose answer it takes over.
    static let stagedTimeout = 1.0

    let configuration: VolumeConfiguration
    let cache: ObjectCache
    let nodes: NodeTable
    let staged = StagedFiles()
    let handles: HandleTable
    /// Where a successor finds what this one knows, in a mount that a holder keeps.
    let journal: Journal?
    /// The handles that a predecessor's requests opened.
    let openedBy = NIOLockedValueBox<[UInt64: UInt64]>([:])
    let logger: Logger
    let special: SpecialFiles
    let program: ProgramFile?
    let reopenings = Reopenings()
    /// Publications seen so far, of anybody: what was read before one may be told only for the moment.
    private let publications = Atomic<UInt64>(0)
    private let stagedCount = NIOLockedValueBox<UInt64>(0)
    private let invalidationsBox = NIOLockedValueBox<Invalidations?>(nil)
    /// Keys that operations of this mount are changing just now.
    private let ownChanges = NIOLockedValueBox<[PathText: Int]>([:])

    init(
        configuration: VolumeConfiguration, cache: ObjectCache, special: SpecialFiles, logger: Logger,
        journal: Journal? = nil
    ) {
        self.journal = journal
        self.configuration = configuration
        self.cache = cache
        self.special = special
        program = special.program.flatMap { ProgramFile(path: $0) }
        self.logger = logger
        nodes = NodeTable(root: configuration.namespace, journal: journal)
        handles = HandleTable(countMax: configuration.openFilesMax, journal: journal)
    }

    /// How the kernel is told that a name leads elsewhere; set once the mount is there.
    var invalidations: Invalidations? {
        get { invalidationsBox.withLockedValue { $0 } }
        set { invalidationsBox.withLockedValue { $0 = newValue } }
    }

    var publicationCount: UInt64 { publications.load(ordering: .acquiring) }

    /// Before the kernel is told of the names of a publication.
    func notePublication() { publications.wrappingAdd(1, ordering: .releasing) }

    var isReadOnly: Bool { configuration.access == .readOnly }

    /// A file that is being written, as it is known to a successor.
    func stagedFile(_ writer: ObjectWriter, isVisible: Bool) -> StagedFile {
        guard let journal else { return StagedFile(writer: writer, isVisible: isVisible) }
        let id = stagedCount.withLockedValue { count in
            count = max(count, journal.counter(.staged)) + 1
            journal.setCounter(.staged, count)
            return count
        }
        return StagedFile(writer: writer, isVisible: isVisible, note: (journal, id))
    }

    /// The key of a name in a directory's inode.
    func key(_ parent: UInt64, _ name: String) throws(Errno) -> Key {
        guard let directory = nodes.directory(parent) else {
            throw nodes.node(parent) == nil ? .stale : .notPermitted
        }
        do {
            return try Key(parent: directory, name: name)
        } catch {
            throw Errno(error)
        }
    }

    /// The same, for a change: refused where the volume is read-only or the name is the mount's own.
    func keyToChange(_ parent: UInt64, _ name: String) throws(Errno) -> Key {
        guard !isReadOnly else { throw .readOnly }
        guard parent != NodeTable.root || name != SpecialNode.directory.rawValue else { throw .notPermitted }
        return try key(parent, name)
    }

    /// Runs a change of this mount's own, whose keys need no invalidation.
    func changing<R>(_ keys: [Key], _ body: () async throws -> R) async rethrows -> R {
        ownChanges.withLockedValue { for key in keys { $0[PathText(key.text), default: 0] += 1 } }
        defer {
            ownChanges.withLockedValue { changes in
                for key in keys {
                    let text = PathText(key.text)
                    let count = changes[text] ?? 1
                    changes[text] = count > 1 ? count - 1 : nil
                }
            }
        }
        return try await body()
    }

    /// An operation of this mount is changing the key, or a directory above it.
    func isOwnChange(_ key: Key) -> Bool {
        ownChanges.withLockedValue { changes in
            guard !changes.isEmpty else { return false }
            let text = PathText(key.text)
            return changes[text] != nil || changes.keys.contains { text.isBelow($0.string) }
        }
    }

    /// Attributes of a node.
    func attributes(of node: Node, inode: UInt64) -> Attributes {
        var attributes = Attributes(inode: inode, mode: 0, uid: configuration.uid, gid: configuration.gid)
        switch node {
        case .directory(let text):
            let entry = (try? Key(text)).flatMap { try? cache.lookup($0) }
            attributes.mode = S_IFDIR | UInt32(entry?.metadata.mode ?? 0o777)
            attributes.modified = entry?.metadata.modified ?? 0
            attributes.links = 2
        case .published(let version):
            attributes.mode = version.target != nil ? S_IFLNK | 0o777 : S_IFREG | UInt32(version.metadata.mode)
            attributes.size = version.size
            attributes.modified = version.metadata.modified
        case .staged(let file):
            let metadata = file.writer.metadata
            attributes.mode = S_IFREG | UInt32(metadata.mode)
            attributes.size = file.published?.size ?? file.writer.size
            attributes.modified = metadata.modified
            attributes.links = file.isUnlinked ? 0 : 1
        case .special(let special):
            attributes.mode = special.mode
            attributes.links = special.isDirectory ? 2 : 1
            attributes.modified = special == .program ? program?.modified ?? 0 : cache.wallNanoseconds()
            if special == .program { attributes.size = program?.size ?? 0 }
        }
        return attributes
    }

    /// A node as an answer to a look-up; the kernel gets one more reference.
    ///
    /// - Parameter count: ``publicationCount`` from before the name was read. Where there was one since, the name may
    ///   lead elsewhere and the kernel have been told of that already.
    func found(_ node: Node, readAt count: UInt64? = nil) -> Found {
        let inode = nodes.remember(node)
        let attributes = attributes(of: node, inode: inode)
        switch node {
        case .published(let version):
            // A name whose next version is being written here is not believed: its publication then needs to tell the
            // kernel nothing, which may hold the directory's lock for somebody who waits for just that publication.
            let isCertain = staged[version.key] == nil && count == publicationCount
            let entryTimeout = isCertain ? Tree.publishedTimeout : 0
            return Found(attributes, entryTimeout: entryTimeout, attributesTimeout: Tree.publishedTimeout)
        case .directory:
            return Found(
                attributes,
                entryTimeout: Tree.directoryTimeout,
                attributesTimeout: Tree.directoryTimeout
            )
        case .staged:
            return Found(attributes, entryTimeout: 0, attributesTimeout: Tree.stagedTimeout)
        case .special:
            return Found(attributes, entryTimeout: 0, attributesTimeout: 0)
        }
    }

    /// A published entry as a node.
    func node(_ entry: Entry) -> Node {
        entry.body == .directory ? .directory(text: entry.key.text) : .published(PublishedVersion(entry))
    }
}

extension SpecialNode {
    var mode: UInt32 {
        switch self {
        case .directory, .programs: S_IFDIR | 0o555
        case .program: S_IFREG | 0o555
        case .hint: S_IFREG | 0o222
        case .status: S_IFREG | 0o444
        }
    }
}
