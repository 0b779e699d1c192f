// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Logging
import Objects
import Synchronization

// What closing a file means: the last handle's release publishes what was written.

extension Tree {
    /// Comes once for each descriptor that is closed, with the file perhaps half written: the key settles.
    func flush(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply) {
        switch handles[handle] {
        case .writer(let file, _), .stagedReader(let file):
            // close(2) is the last call that can be told that an earlier write came to nothing.
            let failure = file.writer.failure.map { Errno($0) }
            let isLast = !file.isUnlinked && (failure != nil || file.writer.isModified) && file.flush(handle)
            if isLast { file.settle() }
            guard isLast, !file.isVisible else {
                if let failure { return reply.error(failure) }
                return reply.done()
            }
            // The kernel believes in the published version under this name, or in what was written where that came to
            // nothing; whoever looks after close(2) must ask.
            reply.later { [self] reply in
                await invalidations?.invalidate(file.writer.key)
                if let failure { reply.error(failure) } else { reply.done() }
            }
        case .hint(let lines):
            let keys = lines.take()
            guard !keys.isEmpty else { return reply.done() }
            reply.later { [self] reply in
                do {
                    try await special.hint(keys)
                    reply.done()
                } catch {
                    reply.error(.from(error))
                }
            }
        case .reader, .status, .program, .directory, nil: reply.done()
        }
    }

    /// Comes once for each open file, after its last descriptor and mapping: the last writer's publishes the key.
    func release(_ request: Request, inode: UInt64, handle: UInt64, flags: Int32, reply: consuming Reply) {
        let open = handles[handle]
        // The file's own end is known to a successor before the handle's is: it would find nobody to publish.
        let isLast =
            switch open {
            case .writer(let file, _), .stagedReader(let file): file.release(handle)
            default: false
            }
        _ = handles.remove(handle)
        switch open {
        case .reader(let reader):
            reader.close()
            reply.done()
        case .writer(let file, _), .stagedReader(let file):
            guard isLast else { return releaseHeld(file, reply) }
            reply.later { [self] reply in
                await publish(file)
                reply.done()
            }
        case .status, .hint, .program, .directory, nil: reply.done()
        }
    }

    /// Publishes what was written, or drops it where its name is gone.
    func publish(_ file: StagedFile) async {
        var entry: Entry?
        if file.isUnlinked {
            file.writer.discard()
        } else {
            do {
                entry = try await publishNow(file)
            } catch {
                logger.error(
                    "not published: what was written is lost",
                    metadata: ["key": "\(file.writer.key)", "error": "\(error)"]
                )
            }
        }
        // Before anybody who waits for the publication looks the name up.
        if let entry, entry.key.text.utf8.elementsEqual(file.writer.key.text.utf8) { adopt(file, as: entry) }
        // The name may have changed while it was being published.
        let key = file.writer.key
        staged.remove(file, at: key)
        file.end(entry)
    }

    /// The inode of a file that was written stays with what was published. No page of it may be cached that was read
    /// while it was written: direct I/O leaves none, but a private mapping does.
    private func adopt(_ file: StagedFile, as entry: Entry) {
        if file.wasRead.load(ordering: .relaxed), let inode = nodes.inode(of: file) {
            invalidations?.forgetPages(of: inode)
        }
        nodes.adopt(file, as: entry)
    }

    /// A writer closed a file that others have. Where one of them is an open that has not come again since it was told
    /// to, its caller may be dead: then this is the last one after all.
    private func releaseHeld(_ file: StagedFile, _ reply: consuming Reply) {
        guard let deadline = reopenings.deadline(of: file) else { return reply.done() }
        reply.later { [self] reply in
            try? await Task.sleep(until: deadline, clock: .continuous)
            for abandoned in reopenings.takeExpired() { await release(abandoned) }
            reply.done()
        }
    }

    /// Gives up the handle of a caller that was killed before it came again.
    func release(_ abandoned: StagedFile) async {
        guard abandoned.release() else { return }
        await invalidations?.invalidate(abandoned.writer.key)
        await publish(abandoned)
    }

    /// Waits for the publications that are under way, up to a limit.
    func untilPublished(limit: Duration) async {
        let files = staged.releasing
        async let _: Void = {
            guard (try? await Task.sleep(for: limit)) != nil else { return }
            for file in files { file.end(nil) }
        }()
        for file in files { await file.untilOver() }
    }

    /// The kernel does not believe a name while it is written here, and was told of the version that it knew before when
    /// the last descriptor was closed. So it needs no word of the publication; and who opens, makes or renames the file
    /// holds the directory's lock while it waits for this. close(2) does not wait for it; who looks the name up does, and
    /// then hurries it.
    ///
    /// A task of its own: where the one that calls is cancelled, what was written must not be dropped.
    private func publishNow(_ file: StagedFile) async throws -> Entry? {
        try await Task { [self] in
            try await changing([file.writer.key]) { try await file.writer.publish(patient: true) }
        }.value
    }

    func sync(_ request: Request, inode: UInt64, handle: UInt64, dataOnly: Bool, reply: consuming Reply) {
        guard case .writer(let file, _) = handles[handle] else { return reply.done() }
        reply.later { reply in
            do {
                try await file.writer.sync()
                file.keepChanges()
                reply.done()
            } catch {
                reply.error(.from(error))
            }
        }
    }
}
