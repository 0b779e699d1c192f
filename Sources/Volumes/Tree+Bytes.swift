// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Glibc
import Logging
import Objects

extension Tree {
    func read(
        _ request: Request,
        inode: UInt64,
        handle: UInt64,
        offset: UInt64,
        buffer: UnsafeMutableRawBufferPointer,
        reply: consuming Reply
    ) {
        do {
            let count: Int?
            switch handles[handle] {
            case .reader(let reader): count = try reader.tryRead(at: offset, into: buffer)
            case .writer(let file, _), .stagedReader(let file):
                count = try file.writer.tryRead(at: offset, into: buffer)
            case .status(let bytes): count = copy(bytes, offset, buffer)
            case .hint: count = 0
            case .directory: return reply.error(.isDirectory)
            case nil: return reply.error(.badDescriptor)
            }
            if let count { return reply.data(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            let size = buffer.count
            reply.later { await self.readLater(handle, offset, size, $0) }
        } catch {
            reply.error(Errno(error))
        }
    }

    private func copy(_ bytes: [UInt8], _ offset: UInt64, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard offset < UInt64(bytes.count) else { return 0 }
        let part = bytes[Int(offset)...].prefix(buffer.count)
        part.withUnsafeBytes { buffer.copyMemory(from: $0) }
        return part.count
    }

    /// A read whose bytes come from elsewhere.
    private func readLater(_ handle: UInt64, _ offset: UInt64, _ size: Int, _ reply: PendingReply) async {
        do {
            while true {
                switch handles[handle] {
                case .reader(let reader):
                    let count = Int(min(UInt64(size), reader.size - min(reader.size, offset)))
                    try await reader.prepare(offset: offset, count: count)
                case .writer(let file, _), .stagedReader(let file):
                    try await file.writer.prepare(offset: offset, count: size)
                case .status, .hint, .directory, nil: throw Errno.badDescriptor
                }
                // What was brought may have been evicted again before it was read: then it is brought again.
                if try replyNow(handle, offset, size, reply) { return }
                try Task.checkCancellation()
            }
        } catch {
            reply.error(.from(error))
        }
    }

    private func replyNow(_ handle: UInt64, _ offset: UInt64, _ size: Int, _ reply: PendingReply) throws -> Bool {
        try withUnsafeTemporaryAllocation(byteCount: size, alignment: 64) { buffer in
            let count: Int?
            switch handles[handle] {
            case .reader(let reader): count = try reader.tryRead(at: offset, into: buffer)
            case .writer(let file, _), .stagedReader(let file):
                count = try file.writer.tryRead(at: offset, into: buffer)
            case .status, .hint, .directory, nil: throw Errno.badDescriptor
            }
            guard let count else { return false }
            reply.data(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            return true
        }
    }

    func write(
        _ request: Request,
        inode: UInt64,
        handle: UInt64,
        offset: UInt64,
        bytes: UnsafeRawBufferPointer,
        reply: consuming Reply
    ) {
        do {
            switch handles[handle] {
            case .writer(let file, let appends):
                let at = appends ? file.writer.size : offset
                if try file.writer.tryWrite(bytes, at: at) { return reply.written(bytes.count) }
                let copy = Array(bytes)
                reply.later { await self.writeLater(file, at, copy, $0) }
            case .hint(let lines):
                guard lines.append(bytes) else { return reply.error(.fileTooBig) }
                reply.written(bytes.count)
            case .reader, .stagedReader, .status, .directory, nil:
                reply.error(.badDescriptor)
            }
        } catch {
            reply.error(Errno(error))
        }
    }

    /// A write that needs room or the bytes that it writes over.
    private func writeLater(_ file: StagedFile, _ offset: UInt64, _ bytes: [UInt8], _ reply: PendingReply) async {
        do {
            while true {
                try await file.writer.prepareWrite(offset: offset, count: bytes.count)
                if try bytes.withUnsafeBytes({ try file.writer.tryWrite($0, at: offset) }) { break }
                try Task.checkCancellation()
            }
            reply.written(bytes.count)
        } catch {
            reply.error(.from(error))
        }
    }

    /// Comes once for each descriptor that is closed, with the file perhaps half written: the key settles.
    func flush(_ request: Request, inode: UInt64, handle: UInt64, reply: consuming Reply) {
        switch handles[handle] {
        case .writer(let file, _):
            // close(2) is the last call that can be told that an earlier write came to nothing.
            if let failure = file.writer.failure { return reply.error(Errno(failure)) }
            guard !file.isUnlinked, file.writer.isModified else { return reply.done() }
            file.writer.settle()
            guard !file.isVisible else { return reply.done() }
            // The kernel believes in the published version under this name; whoever looks after close(2) must ask.
            reply.later { [self] reply in
                await invalidations?.invalidate(file.writer.key)
                reply.done()
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
        case .reader, .stagedReader, .status, .directory, nil: reply.done()
        }
    }

    /// Comes once for each open file, after its last descriptor and mapping: the last writer's publishes the key.
    func release(_ request: Request, inode: UInt64, handle: UInt64, flags: Int32, reply: consuming Reply) {
        switch handles.remove(handle) {
        case .reader(let reader):
            reader.close()
            reply.done()
        case .writer(let file, _), .stagedReader(let file):
            guard file.release() else { return reply.done() }
            reply.later { [self] reply in
                await publish(file)
                reply.done()
            }
        case .status, .hint, .directory, nil: reply.done()
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
        if file.isVisible, let entry, entry.key == file.writer.key { nodes.adopt(file, as: entry) }
        // The name may have changed while it was being published.
        let key = file.writer.key
        staged.remove(file, at: key)
        file.end(entry)
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

    /// The kernel believes the name of a new file for no time at all, so it needs no word of it; and who renames the
    /// file holds the directory's lock while it waits for this.
    private func publishNow(_ file: StagedFile) async throws -> Entry? {
        guard file.isVisible else { return try await file.writer.publish() }
        return try await changing([file.writer.key]) { try await file.writer.publish() }
    }

    func sync(_ request: Request, inode: UInt64, handle: UInt64, dataOnly: Bool, reply: consuming Reply) {
        guard case .writer(let file, _) = handles[handle] else { return reply.done() }
        reply.later { reply in
            do {
                try await file.writer.sync()
                reply.done()
            } catch {
                reply.error(.from(error))
            }
        }
    }

    func allocate(
        _ request: Request,
        inode: UInt64,
        handle: UInt64,
        mode: Int32,
        offset: UInt64,
        length: UInt64,
        reply: consuming Reply
    ) {
        guard case .writer(let file, _) = handles[handle] else { return reply.error(.badDescriptor) }
        // Holes and zeroing would have to be done in the staging file; tools fall back to writing.
        guard mode == 0 else { return reply.error(.notSupported) }
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !overflow else { return reply.error(.fileTooBig) }
        reply.later { reply in
            do {
                try await file.writer.expect(size: end)
                if end > file.writer.size { try await file.writer.truncate(to: end) }
                reply.done()
            } catch {
                reply.error(.from(error))
            }
        }
    }

    /// A file is all data: what follows the offset is data, and the one hole is at its end (lseek(2)).
    func seek(
        _ request: Request,
        inode: UInt64,
        handle: UInt64,
        offset: UInt64,
        whence: Int32,
        reply: consuming Reply
    ) {
        let size: UInt64
        switch handles[handle] {
        case .reader(let reader): size = reader.size
        case .writer(let file, _), .stagedReader(let file): size = file.writer.size
        case .status, .hint, .directory, nil: return reply.error(.invalid)
        }
        guard offset < size else { return reply.error(.noAddress) }
        switch whence {
        case 3: reply.offset(offset)
        case 4: reply.offset(size)
        default: reply.error(.invalid)
        }
    }

    // Extended attributes: ENOSYS once, and the kernel stops asking; without it every write asks for capabilities.

    func getExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }

    func listExtendedAttributes(_ request: Request, inode: UInt64, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }

    func setExtendedAttribute(
        _ request: Request,
        inode: UInt64,
        name: String,
        value: [UInt8],
        flags: Int32,
        reply: consuming Reply
    ) {
        reply.error(.noSystemCall)
    }

    func removeExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply) {
        reply.error(.noSystemCall)
    }
}
