// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Glibc
import Objects

extension Tree {
    func create(
        _ request: Request,
        parent: UInt64,
        name: String,
        mode: UInt32,
        flags: Int32,
        reply: consuming Reply
    ) {
        if let (number, handle) = opened(by: request), case .writer(let file, _) = handle {
            return createAgain(number, file, reply)
        }
        guard handles.hasRoom else { return reply.error(.tooManyOpen) }
        do {
            let key = try keyToChange(parent, name)
            if staged[key] != nil || cache.isSettling(key) {
                return reply.later { await self.createLater(key, mode & ~request.umask, flags, request, $0) }
            }
            let file = try stage(key, mode & ~request.umask)
            answerCreated(found(.staged(file)), writer(of: file, flags, request), reply)
        } catch {
            reply.error(error)
        }
    }

    /// A new file at a key that has none.
    private func stage(_ key: Key, _ mode: UInt32) throws(Errno) -> StagedFile {
        do {
            let writer = try cache.create(key, metadata: metadata(mode))
            writer.touch()
            let file = stagedFile(writer, isVisible: true)
            let first = staged.add(file, at: key)
            if first !== file { writer.discard() }
            guard first.retain() else { throw Errno.again }
            return first
        } catch {
            throw Errno.from(error)
        }
    }

    /// create at a key that is, or was a moment ago, being written: O_EXCL says that it exists, else it is opened.
    private func createLater(
        _ key: Key, _ mode: UInt32, _ flags: Int32, _ request: Request, _ reply: PendingReply
    ) async {
        do {
            if let file = await settledFile(key), file.isVisible {
                guard flags & O_EXCL == 0 else { throw Errno.exists }
                guard file.retain() else { throw Errno.again }
                return answerCreated(found(.staged(file)), writer(of: file, flags, request), reply)
            }
            if let entry = try await cache.waitForEntry(key) {
                guard flags & O_EXCL == 0 else { throw Errno.exists }
                let file = try stage(entry)
                // The kernel takes what it asked to create for empty, and truncates nothing itself.
                if flags & O_TRUNC != 0 {
                    file.noteModified()
                    try await file.writer.truncate(to: 0)
                }
                return answerCreated(found(.staged(file)), writer(of: file, flags, request), reply)
            }
            let file = try stage(key, mode)
            answerCreated(found(.staged(file)), writer(of: file, flags, request), reply)
        } catch {
            reply.error(.from(error))
        }
    }

    func open(_ request: Request, inode: UInt64, flags: Int32, reply: consuming Reply) {
        let writes = flags & O_ACCMODE != O_RDONLY
        if let (number, handle) = opened(by: request) { return openAgain(number, handle, reply) }
        guard let node = nodes.node(inode) else { return reply.error(.stale) }
        guard handles.hasRoom else { return reply.error(.tooManyOpen) }
        if case .special(let special) = node { return open(special, writes, request, reply) }
        guard !writes || !isReadOnly else { return reply.error(.readOnly) }
        do {
            switch node {
            case .directory: reply.error(.isDirectory)
            case .special: reply.error(.notPermitted)
            case .published(let version):
                guard writes else {
                    return answerOpened(try reader(of: try entry(of: version), keepCache: true, request), reply)
                }
                openPublished(version.key, flags, request, reply)
            case .staged(let file):
                if let entry = file.published, !writes {
                    return answerOpened(try reader(of: entry, keepCache: false, request), reply)
                }
                // Found in the moment in which a writer's open was to come again: readers have the published version.
                if !writes, file.isReplacement, let entry = try current(file.writer.key) {
                    return answerOpened(try reader(of: entry, keepCache: false, request), reply)
                }
                if writes, reopenings.take(file, pid: request.pid) {
                    return answerOpened(writer(of: file, flags, request), reply)
                }
                guard file.retain() else {
                    return reply.later { await self.openLater(file.writer.key, flags, request, $0) }
                }
                answerOpened(writes ? writer(of: file, flags, request) : stagedReader(of: file, request), reply)
            }
        } catch {
            reply.error(error)
        }
    }

    /// An open of a published key for writing. It gets an inode of its own, so that what it writes moves no size that
    /// readers of the version see (P3): the kernel is told to look the name up again, and finds that inode.
    private func openPublished(_ key: Key, _ flags: Int32, _ request: Request, _ reply: consuming Reply) {
        let pid = request.pid
        // It comes again because the agent that had it died, and not because it was told to.
        if request.replay != nil, reopenings.file(at: key, pid: pid) != nil { return reply.error(.stale) }
        if let file = reopenings.take(at: key, pid: pid) {
            // It came without a look-up, by /proc/self/fd or a handle: then it shares the inode with its readers.
            return answerOpened(writer(of: file, flags, request), reply)
        }
        let abandoned = reopenings.takeExpired()
        guard staged[key]?.isReleasing == true || !abandoned.isEmpty else {
            return reply.error(reopen(key, pid))
        }
        reply.later { [self] reply in
            for file in abandoned { await release(file) }
            _ = await settledFile(key)
            reply.error(reopen(key, pid))
        }
    }

    /// Prepares for the look-up that the caller is sent to do, by ESTALE.
    private func reopen(_ key: Key, _ pid: Int32) -> Errno {
        do {
            // Removed or made a directory meanwhile: that is what the look-up finds.
            guard let entry = try current(key), entry.body != .directory else { return .stale }
            reopenings.begin(try stage(entry), at: key, pid: pid)
            return .stale
        } catch {
            return error
        }
    }

    private func current(_ key: Key) throws(Errno) -> Entry? {
        do {
            return try cache.lookup(key)
        } catch {
            throw Errno(error)
        }
    }

    /// The entry of a version with its bytes; ESTALE where there is a newer one, so that the name is looked up again.
    private func entry(of version: PublishedVersion) throws(Errno) -> Entry {
        guard version.isInCatalog else { return version.entry }
        guard let entry = try current(version.key), entry.version == version.version else { throw .stale }
        return entry
    }

    /// A writer that begins with a published version, shared with the handles that write the key already.
    private func stage(_ entry: Entry) throws(Errno) -> StagedFile {
        if let file = staged[entry.key], file.retain() { return file }
        do {
            let base = try cache.open(entry)
            let writer = try cache.create(entry.key, metadata: entry.metadata, base: base)
            let file = stagedFile(writer, isVisible: false)
            let first = staged.add(file, at: entry.key)
            if first !== file { writer.discard() }
            guard first.retain() else { throw Errno.again }
            return first
        } catch {
            throw Errno.from(error)
        }
    }

    /// An open that came while the last writer of the key was being published.
    private func openLater(_ key: Key, _ flags: Int32, _ request: Request, _ reply: PendingReply) async {
        do {
            if let file = await settledFile(key), file.retain() {
                let writes = flags & O_ACCMODE != O_RDONLY
                return answerOpened(writes ? writer(of: file, flags, request) : stagedReader(of: file, request), reply)
            }
            guard let entry = try await cache.waitForEntry(key) else { throw Errno.notFound }
            if flags & O_ACCMODE == O_RDONLY {
                return answerOpened(try reader(of: entry, keepCache: false, request), reply)
            }
            answerOpened(writer(of: try stage(entry), flags, request), reply)
        } catch {
            reply.error(.from(error))
        }
    }

    private func writer(of file: StagedFile, _ flags: Int32, _ request: Request) -> Opened {
        let handle = handles.add(.writer(file, appends: flags & O_APPEND != 0), for: request.unique)
        file.arrived()
        return Opened(handle: handle, directIO: true)
    }

    private func stagedReader(of file: StagedFile, _ request: Request) -> Opened {
        Opened(handle: handles.add(.stagedReader(file), for: request.unique), directIO: true)
    }

    /// A reader of a version. Its pages stay cached with its inode; through an inode that was a staging file's, whose
    /// size the kernel may have wrong, they are not used.
    private func reader(of entry: Entry, keepCache: Bool, _ request: Request) throws(Errno) -> Opened {
        do {
            let handle = handles.add(.reader(try cache.open(entry)), for: request.unique)
            return Opened(handle: handle, directIO: !keepCache, keepCache: keepCache)
        } catch {
            throw Errno(error)
        }
    }

    private func open(_ node: SpecialNode, _ writes: Bool, _ request: Request, _ reply: consuming Reply) {
        switch node {
        case .directory, .programs: reply.error(.isDirectory)
        case .program:
            guard !writes, let program else { return reply.error(.access) }
            answerOpened(Opened(handle: handles.add(.program(program), for: request.unique)), reply)
        case .hint:
            let handle = handles.add(.hint(HintLines()), for: request.unique)
            answerOpened(Opened(handle: handle, directIO: true), reply)
        case .status:
            guard !writes else { return reply.error(.access) }
            let handle = handles.add(.status(special.status()), for: request.unique)
            answerOpened(Opened(handle: handle, directIO: true), reply)
        }
    }
}
