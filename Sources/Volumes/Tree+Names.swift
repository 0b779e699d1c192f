// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Objects

// Changes of names. The kernel holds the parents' locks meanwhile; each is one publication, done in a task.

extension Tree {
    private static let noReplace: UInt32 = 1

    func makeDirectory(_ request: Request, parent: UInt64, name: String, mode: UInt32, reply: consuming Reply) {
        make(request, parent, name, reply) { [self] key in
            try await cache.makeDirectory(key, metadata: metadata(mode & ~request.umask))
        }
    }

    func symlink(_ request: Request, parent: UInt64, name: String, target: String, reply: consuming Reply) {
        make(request, parent, name, reply) { [self] key in
            try await cache.makeSymlink(key, target: target, metadata: metadata(0o777))
        }
    }

    func metadata(_ mode: UInt32) -> Metadata {
        Metadata(mode: UInt16(mode & 0o7777), modified: cache.wallNanoseconds())
    }

    private func make(
        _ request: Request,
        _ parent: UInt64,
        _ name: String,
        _ reply: consuming Reply,
        _ body: @escaping @Sendable (Key) async throws -> Entry
    ) {
        let key: Key
        do {
            key = try keyToChange(parent, name)
        } catch {
            return reply.error(error)
        }
        if let file = staged[key], file.isVisible { return reply.error(.exists) }
        reply.later { [self] reply in
            do {
                if let node = try made(key, by: request) { return answer(found(node), reply) }
                let entry = try await changing([key]) { try await body(key) }
                answer(found(node(entry)), reply)
            } catch {
                reply.error(.from(error))
            }
        }
    }

    /// Devices, sockets and pipes have no meaning in a cache; regular files are made by `create`.
    func makeNode(_ request: Request, parent: UInt64, name: String, mode: UInt32, reply: consuming Reply) {
        reply.error(isReadOnly ? .readOnly : .notPermitted)
    }

    /// link(2): EPERM is what POSIX names where a file system has no hard links.
    func link(_ request: Request, inode: UInt64, newParent: UInt64, newName: String, reply: consuming Reply) {
        reply.error(isReadOnly ? .readOnly : .notPermitted)
    }

    func unlink(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        let key: Key
        do {
            key = try keyToChange(parent, name)
        } catch {
            return reply.error(error)
        }
        if let outcome = request.replay?.outcome { return reply.error(outcome) }
        reply.later { [self] reply in
            do {
                let file = await heldFile(key)
                if let file {
                    file.unlink()
                    staged.remove(file, at: key)
                    await letGo(file)
                }
                if try cache.lookup(key) != nil {
                    try await changing([key]) { try await cache.remove(key) }
                } else if file == nil, request.replay?.isBegun != true {
                    throw Errno.notFound
                }
                reply.done()
            } catch {
                reply.error(.from(error))
            }
        }
    }

    /// The file that is being written at a key, after a publication that is under way has ended.
    func settledFile(_ key: Key) async -> StagedFile? {
        guard let file = staged[key] else { return nil }
        guard file.isReleasing else { return file }
        await untilOver(file)
        return nil
    }

    /// The file that is being written at a key, held: its writers may close it meanwhile, and its publication, under the
    /// name and with the attributes that it has by then, waits for ``letGo(_:)``.
    func heldFile(_ key: Key) async -> StagedFile? {
        while let file = staged[key], !file.isOver {
            if file.hold() { return file }
            await untilOver(file)
        }
        return nil
    }

    func letGo(_ file: StagedFile?) async {
        guard let file, file.letGo() else { return }
        cache.hurry()
        await publish(file)
    }

    /// Waits for a publication that is under way, which nobody waited for until now.
    func untilOver(_ file: StagedFile) async {
        cache.hurry()
        await file.untilOver()
    }

    func removeDirectory(_ request: Request, parent: UInt64, name: String, reply: consuming Reply) {
        let key: Key
        do {
            key = try keyToChange(parent, name)
        } catch {
            return reply.error(error)
        }
        if let outcome = request.replay?.outcome { return reply.error(outcome) }
        reply.later { [self] reply in
            do {
                if try isGone(key, by: request) { return reply.done() }
                for (_, file) in staged.below(key.text) where file.isReleasing { await untilOver(file) }
                guard !staged.below(key.text).contains(where: { $0.file.isVisible }) else { throw Errno.notEmpty }
                try await changing([key]) { try await cache.removeDirectory(key) }
                reply.done()
            } catch {
                reply.error(.from(error))
            }
        }
    }

    func rename(
        _ request: Request,
        parent: UInt64,
        name: String,
        newParent: UInt64,
        newName: String,
        flags: UInt32,
        reply: consuming Reply
    ) {
        guard flags & ~Tree.noReplace == 0 else { return reply.error(.invalid) }
        let from: Key
        let to: Key
        do {
            from = try keyToChange(parent, name)
            to = try keyToChange(newParent, newName)
        } catch {
            return reply.error(error)
        }
        guard from != to else { return reply.done() }
        if let outcome = request.replay?.outcome { return reply.error(outcome) }
        reply.later { [self] reply in
            do {
                if try await isRenamed(from, to: to, by: request) { return reply.done() }
                try await rename(from, to: to, exclusive: flags & Tree.noReplace != 0)
                reply.done()
            } catch {
                reply.error(.from(error))
            }
        }
    }
}
