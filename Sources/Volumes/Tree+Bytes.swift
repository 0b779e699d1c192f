// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Glibc
import Objects
import Synchronization

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
                file.wasRead.store(true, ordering: .relaxed)
                count = try file.writer.tryRead(at: offset, into: buffer)
            case .status(let bytes): count = copy(bytes, offset, buffer)
            case .program(let program): count = try program.read(at: offset, into: buffer)
            case .hint: count = 0
            case .directory: return reply.error(.isDirectory)
            case nil: return reply.error(.badDescriptor)
            }
            if let count { return reply.data(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            let size = buffer.count
            reply.later { await self.readLater(handle, offset, size, $0) }
        } catch {
            reply.error(.from(error))
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
                case .status, .hint, .program, .directory, nil: throw Errno.badDescriptor
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
            case .status, .hint, .program, .directory, nil: throw Errno.badDescriptor
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
                file.use(handle)
                // It was done and perhaps answered, and others may have written there since.
                if request.replay?.outcome?.rawValue == 0 { return reply.written(bytes.count) }
                // Where the end was is noted: what comes again is not appended again.
                let at = appends ? request.replay?.value ?? file.writer.size : offset
                if appends { reply.note(at) }
                file.noteModified()
                if try file.writer.tryWrite(bytes, at: at) { return reply.written(bytes.count) }
                let copy = Array(bytes)
                reply.later { await self.writeLater(file, at, copy, $0) }
            case .hint(let lines):
                guard lines.append(bytes) else { return reply.error(.fileTooBig) }
                reply.written(bytes.count)
            case .reader, .stagedReader, .status, .program, .directory, nil:
                reply.error(.badDescriptor)
            }
        } catch {
            reply.error(Errno(error))
        }
    }

    /// A write that needs room or the bytes that it writes over.
    private func writeLater(_ file: StagedFile, _ offset: UInt64, _ bytes: [UInt8], _ reply: PendingReply) async {
        do {
            try await write(bytes, to: file, at: offset)
            reply.written(bytes.count)
        } catch {
            reply.error(.from(error))
        }
    }

    func write(_ bytes: [UInt8], to file: StagedFile, at offset: UInt64) async throws {
        while true {
            try await file.writer.prepareWrite(offset: offset, count: bytes.count)
            if try bytes.withUnsafeBytes({ try file.writer.tryWrite($0, at: offset) }) { return }
            try Task.checkCancellation()
        }
    }
}
