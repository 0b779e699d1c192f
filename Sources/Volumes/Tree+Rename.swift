// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Objects

// A name in place of another one.
//
// An agent may die between any two steps, and the rename then comes again. So in this order: what the new name loses is
// unlinked; what is published moves, in one publication; last, what inodes and files being written mean. A file that is
// renamed while it is written has its new name as the very last thing: until then the rename that comes again finds it
// where it was, and from then on it finds it done.

extension Tree {
    /// What a rename is about. Both files are held: neither is published before it is over.
    private struct Renaming {
        let from: Key
        let to: Key
        let file: StagedFile?
        let target: StagedFile?
        let isExclusive: Bool
    }

    func rename(_ from: Key, to: Key, exclusive: Bool) async throws {
        let renaming = Renaming(
            from: from, to: to, file: await heldFile(from), target: await heldFile(to), isExclusive: exclusive)
        do {
            try await perform(renaming)
        } catch {
            await letGo(renaming.file)
            await letGo(renaming.target)
            throw error
        }
        await letGo(renaming.file)
        await letGo(renaming.target)
    }

    private func perform(_ renaming: Renaming) async throws {
        if renaming.isExclusive, renaming.target?.isVisible == true { throw Errno.exists }
        if let file = renaming.file, file.isVisible { return try await renameWritten(file, renaming) }
        guard try cache.isDirectory(renaming.from.text) else { return try await renamePublished(renaming) }
        if renaming.target?.isVisible == true { throw Errno.notDirectory }
        try await renameDirectory(renaming)
    }

    /// Renames what is still being written: it will be published under the new name.
    private func renameWritten(_ file: StagedFile, _ renaming: Renaming) async throws {
        let (from, to) = (renaming.from, renaming.to)
        if try cache.isDirectory(to.text) { throw Errno.isDirectory }
        if renaming.isExclusive, try cache.lookup(to) != nil { throw Errno.exists }
        try cache.checkParents(of: to)
        // What the old name has published besides goes before the file leaves it: a rename that comes again would else
        // take that for what it is to move, and the file for what it is to replace.
        if try cache.lookup(from) != nil {
            try await unlessGone { try await changing([from]) { try await cache.remove(from) } }
        }
        renaming.target?.unlink()
        move(file, from: from, to: to)
        if let target = renaming.target { staged.remove(target, at: to) }
    }

    private func renamePublished(_ renaming: Renaming) async throws {
        try await unlinkingTarget(renaming) {
            let pairs = try await changing([renaming.from, renaming.to]) {
                try await cache.rename(renaming.from, to: renaming.to, exclusive: renaming.isExclusive)
            }
            for pair in pairs { nodes.replace(pair.old, with: pair.new) }
        }
        if let file = renaming.file { move(file, from: renaming.from, to: renaming.to) }
    }

    private func renameDirectory(_ renaming: Renaming) async throws {
        let (from, to) = (renaming.from, renaming.to)
        // What is published below it from here on would come out under its old name.
        var held: [StagedFile] = []
        await holdBelow(from.text, &held)
        do {
            try await unlinkingTarget(renaming) {
                let pairs = try await changing([from, to]) {
                    try await cache.rename(from, to: to, exclusive: renaming.isExclusive)
                }
                for pair in pairs { nodes.replace(pair.old, with: pair.new) }
            }
            nodes.moveDirectories(from: from.text, to: to.text)
            // What was created or published there meanwhile.
            await holdBelow(from.text, &held)
            try await moveStragglers(from, to)
            for (key, file) in staged.below(from.text) { move(file, from: key, to: try moved(key, from, to)) }
        } catch {
            for file in held { await letGo(file) }
            throw error
        }
        for file in held { await letGo(file) }
    }

    /// Runs what publishes the new name. The file that is being written there loses it before, so that an agent that
    /// dies right after the publication leaves nothing that would be published over it.
    private func unlinkingTarget(_ renaming: Renaming, _ body: () async throws -> Void) async throws {
        renaming.target?.unlink()
        do {
            try await body()
        } catch {
            renaming.target?.relink()
            throw error
        }
        if let target = renaming.target { staged.remove(target, at: renaming.to) }
    }

    /// Holds every file that is being written below a directory; waits for those that are being published.
    private func holdBelow(_ directory: String, _ held: inout [StagedFile]) async {
        var known = Set(held.map { ObjectIdentifier($0) })
        while true {
            let files = staged.below(directory).map(\.file).filter {
                !known.contains(ObjectIdentifier($0)) && !$0.isOver
            }
            guard !files.isEmpty else { return }
            for file in files {
                guard file.hold() else {
                    await untilOver(file)
                    continue
                }
                known.insert(ObjectIdentifier(file))
                held.append(file)
            }
        }
    }

    /// Moves what was published below a directory after its keys were read and before its inode had the new name.
    func moveStragglers(_ from: Key, _ to: Key) async throws {
        guard try cache.isDirectory(from.text) else { return }
        var standing: [Key] = []
        for old in try cache.list(prefix: from.text + "/", after: nil, limit: ObjectCache.renameCountMax) {
            let key = try moved(old.key, from, to)
            // A directory before it took it along.
            guard try cache.lookup(old.key) != nil else { continue }
            if old.body == .directory, try cache.isDirectory(key.text) {
                standing.append(old.key)
                continue
            }
            try await unlessGone {
                let pairs = try await changing([old.key, key]) { try await cache.rename(old.key, to: key) }
                for pair in pairs { nodes.replace(pair.old, with: pair.new) }
            }
        }
        // Those that were made again: what was in them has moved.
        for key in standing.reversed() {
            try await unlessGone { try await changing([key]) { try await cache.removeDirectory(key) } }
        }
    }

    /// What somebody removed meanwhile need not be moved any more.
    private func unlessGone(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as ObjectError where error.code == .notFound {
            return
        }
    }

    func moved(_ key: Key, _ from: Key, _ to: Key) throws -> Key {
        try Key(PathText(key.text).moved(from: from.text, to: to.text))
    }

    /// From here on it is published under the other name.
    func move(_ file: StagedFile, from: Key, to: Key) {
        _ = staged.move(file, from: from, to: to)
        file.rename(to: to)
    }
}
