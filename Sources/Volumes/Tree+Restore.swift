// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Glibc
import Logging
import NIOConcurrencyHelpers
import Objects

// What a predecessor left: its inodes, handles and files being written are this tree's before the first request.

extension Tree {
    func restore(_ journal: Journal) {
        let records = journal.records()
        let staged = restoreStaged(records.filter { $0.kind == .staged }, journal)
        let handles = restoreHandles(records, staged, journal)
        var nodes: [(inode: UInt64, node: Node, lookups: UInt64)] = []
        for record in records where record.kind == .node {
            guard let node = try? Journal.node(record, staged: staged) else { continue }
            nodes.append((record.id, node, record.a))
        }
        self.nodes.restore(nodes, next: journal.counter(.inode))
        self.handles.restore(handles, next: journal.counter(.handle))
        for record in records where record.kind == .staged {
            if let file = staged[record.id] { settle(file, record) }
        }
        if !records.isEmpty {
            logger.notice(
                "took over",
                metadata: ["inodes": "\(nodes.count)", "handles": "\(handles.count)", "written": "\(staged.count)"])
        }
    }

    private func restoreStaged(_ records: [Journal.Record], _ journal: Journal) -> [UInt64: StagedFile] {
        var files: [UInt64: StagedFile] = [:]
        for record in records {
            do {
                let state = try Journal.writer(record)
                let writer = try cache.resume(state)
                let isVisible = record.flags & StagedFile.Flag.visible != 0
                let file = StagedFile(
                    writer: writer, isVisible: isVisible, note: (journal, record.id), isRestored: true)
                files[record.id] = file
                guard record.flags & StagedFile.Flag.unlinked == 0 else {
                    file.unlink()
                    file.register()
                    continue
                }
                _ = staged.add(file, at: state.key)
                if record.flags & StagedFile.Flag.settled != 0 { file.settle() }
            } catch {
                logger.error("a file that was being written is lost", metadata: ["error": "\(error)"])
            }
        }
        return files
    }

    private func restoreHandles(
        _ records: [Journal.Record], _ staged: [UInt64: StagedFile], _ journal: Journal
    ) -> [UInt64: Handle] {
        var handles: [UInt64: Handle] = [:]
        var pages: [UInt64: [Journal.Record]] = [:]
        for record in records where record.kind == .page { pages[record.id >> 20, default: []].append(record) }
        for record in records where record.kind == .handle {
            do {
                guard let handle = try journal.handle(record, staged: staged, of: self) else { continue }
                handles[record.id] = handle
                openedBy.withLockedValue { $0[record.a] = record.id }
                switch handle {
                case .writer(let file, _), .stagedReader(let file): _ = file.retain()
                case .directory(let listing):
                    listing.restore((pages[record.id] ?? []).sorted { $0.id < $1.id }.map(Journal.page))
                case .reader, .status, .hint, .program: break
                }
            } catch {
                logger.error("an open file is lost", metadata: ["error": "\(error)"])
            }
        }
        return handles
    }

    /// What becomes of a file being written, once its handles are counted.
    private func settle(_ file: StagedFile, _ record: Journal.Record) {
        if record.flags & StagedFile.Flag.awaited != 0, file.retain() {
            // An open that was told to come again will.
            reopenings.begin(file, at: file.writer.key, pid: Int32(truncatingIfNeeded: record.b >> 32))
        }
        guard !file.isHeld else { return }
        // The last handle is closed, and it is published with the others unless its name is gone; or its creator never
        // knew of one.
        guard record.flags & StagedFile.Flag.releasing != 0, !file.isUnlinked else { return drop(file) }
        file.beginRelease()
        file.settle()
    }

    private func drop(_ file: StagedFile) {
        file.writer.discard()
        staged.remove(file, at: file.writer.key)
        file.end(nil)
    }

    /// How long requests that come again have before files that were closed are published: a rename that was under way
    /// is to take what it moves with it. They come within the first milliseconds.
    static let replayPause = Duration.milliseconds(50)

    /// How long a file that a predecessor saw settle, and whose handle is still open, settles on. The release that
    /// follows the last close was in the kernel's queue by then. Where it does not come, a process that was forked closed
    /// what it had inherited, and those who look the name up must not wait for that after each hand-over anew.
    static let settlingPause = Duration.milliseconds(200)

    /// Publishes what was closed and not yet published, and tells the kernel of names that lead elsewhere by now: the
    /// predecessor may have died between a publication and that.
    func finishRestored() async {
        let settling = staged.settling
        if !staged.releasing.isEmpty { try? await Task.sleep(for: Tree.replayPause) }
        // Not those that were closed since: their release publishes them.
        for file in staged.releasing where file.takeLeft() { await publish(file) }
        if !settling.isEmpty {
            try? await Task.sleep(for: Tree.settlingPause)
            for file in settling { file.unsettle() }
        }
        // An open that was told to come again, and whose caller died meanwhile, holds its file no longer.
        try? await Task.sleep(for: Reopenings.ageMax)
        for file in reopenings.takeExpired() where file.release() { await publish(file) }
        guard let invalidations else { return }
        for version in nodes.published {
            if let now = try? cache.lookup(version.key), now.version == version.version { continue }
            await invalidations.invalidate(version.key)
        }
    }

    /// The handle that an earlier coming of this request opened.
    func opened(by request: Request) -> (number: UInt64, handle: Handle)? {
        guard request.replay != nil, let number = openedBy.withLockedValue({ $0[request.unique] }),
            let handle = handles[number]
        else { return nil }
        return (number, handle)
    }

    /// Answers an open that comes again with the handle that it has.
    func openAgain(_ number: UInt64, _ handle: Handle, _ reply: consuming Reply) {
        let isReader = if case .reader = handle { true } else { false }
        let isCached =
            switch handle {
            case .reader, .directory, .program: true
            case .writer, .stagedReader, .status, .hint: false
            }
        reply.opened(Opened(handle: number, directIO: !isCached, keepCache: isReader))
    }

    /// The same for a create.
    func createAgain(_ number: UInt64, _ file: StagedFile, _ reply: consuming Reply) {
        reply.created(found(.staged(file)), Opened(handle: number, directIO: true))
    }
}
