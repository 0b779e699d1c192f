// SPDX-License-Identifier: Apache-2.0

public import Content
import Peers
import Storage

extension ObjectCache {
    /// The most keys that a directory may have below it to be renamed: each is two publications.
    public static let renameCountMax = 100_000

    /// What a key names now, as far as this agent knows; nil for nothing.
    public func lookup(_ key: Key) throws(ObjectError) -> Entry? {
        do {
            return try directory.lookup(key)
        } catch {
            throw ObjectError(error)
        }
    }

    /// What a key names now, and whether it is a directory, made or implied by keys below it; one read of the catalog.
    public func find(_ key: Key) throws(ObjectError) -> (entry: Entry?, isDirectory: Bool) {
        do {
            let (entry, isImplied) = try store.catalog.find(key)
            guard let entry, !entry.isTombstone else { return (nil, isImplied) }
            return (entry, entry.body == .directory)
        } catch {
            throw ObjectError(error)
        }
    }

    /// Whether a text (`namespace`, `namespace/dir…`) names a directory, made or implied by keys below it.
    public func isDirectory(_ text: String) throws(ObjectError) -> Bool {
        do {
            return try store.catalog.isDirectory(text)
        } catch {
            throw ObjectError(error)
        }
    }

    /// Names in a directory, in the order of their bytes, after `name`.
    public func children(
        of directory: String,
        after name: String?,
        limit: Int
    ) throws(ObjectError) -> [Child] {
        do {
            return try store.catalog.children(of: directory, after: name, limit: limit)
                .map { Child(name: $0.name, entry: $0.entry) }
        } catch {
            throw ObjectError(error)
        }
    }

    /// Entries whose key begins with a text, in the order of their keys' bytes, after `key`.
    public func list(prefix: String, after key: Key?, limit: Int) throws(ObjectError) -> [Entry] {
        do {
            return try store.catalog.list(prefix: prefix, after: key, limit: limit)
        } catch {
            throw ObjectError(error)
        }
    }

    /// A miss of this key may not be answered yet: it is being published here or at a peer, a hint announced it, or
    /// this replica knows that it is behind.
    public func mustWait(_ key: Key) -> Bool {
        settling.contains(key) || prefetcher.isAnnounced(key) || !directory.absenceIsCertain()
    }

    /// Somebody waits for publications that were not in a hurry: they are made at once.
    public func hurry() { directory.hurry() }

    /// Waits for what a key names: for the end of a publication that is under way, for a key that was announced, or,
    /// with a limit, for any publication of it.
    ///
    /// - Parameter limit: how long; nil for the limits of ``Limits``.
    /// - Returns: nil where it names nothing after the limit.
    public func waitForEntry(_ key: Key, limit: Duration? = nil) async throws(ObjectError) -> Entry? {
        if settling.contains(key) { hurry() } else if let entry = try lookup(key) { return entry }
        if !directory.absenceIsCertain() {
            _ = await directory.catchUp(timeout: limit.map { min($0, limits.settle) } ?? limits.settle)
            if !settling.contains(key), let entry = try lookup(key) { return entry }
        }
        let patience: Duration =
            if let limit {
                limit
            } else if prefetcher.isAnnounced(key) {
                limits.announced
            } else if settling.contains(key) {
                limits.settle
            } else {
                .zero
            }
        let explicit = limit != nil
        await settling.wait(for: key, limit: patience) { [self] in
            if settling.contains(key) { return false }
            if (try? directory.lookup(key)) != nil { return true }
            return !explicit && !prefetcher.isAnnounced(key)
        }
        if Task.isCancelled { throw ObjectError(.cancelled, "the request was cancelled") }
        return try lookup(key)
    }

    /// Removes an object or a symbolic link.
    ///
    /// - Throws: ``ObjectError`` `notFound`, `isDirectory` or `io`.
    public func remove(_ key: Key) async throws(ObjectError) {
        guard let entry = try lookup(key) else { throw try absence(key) }
        if entry.body == .directory { throw ObjectError(.isDirectory, "\(key) is a directory") }
        try await publish([tombstone(entry)])
    }

    /// Makes a directory.
    ///
    /// - Throws: ``ObjectError`` `exists`, `notDirectory` or `io`.
    public func makeDirectory(_ key: Key, metadata: Metadata) async throws(ObjectError) -> Entry {
        try await make(key, .directory, metadata)
    }

    /// Gives an entry of its own to a directory that only keys below it imply.
    public func makeDirectoryExplicit(_ key: Key, metadata: Metadata) async throws(ObjectError) -> Entry {
        if let entry = try lookup(key) { return entry }
        let entry = Entry(key: key, version: directory.nextVersion(), body: .directory, metadata: metadata)
        try await publish([.entry(entry)])
        return entry
    }

    /// The key is being published, here or at a peer: what it names is about to change.
    public func isSettling(_ key: Key) -> Bool { settling.contains(key) }

    /// Makes a symbolic link.
    ///
    /// - Throws: ``ObjectError`` `exists`, `notDirectory`, `keyTooLong` or `io`.
    public func makeSymlink(
        _ key: Key,
        target: String,
        metadata: Metadata
    ) async throws(ObjectError) -> Entry {
        guard target.utf8.count <= Entry.targetByteCountMax else {
            throw ObjectError(.keyTooLong, "the target of \(key) has \(target.utf8.count) bytes")
        }
        return try await make(key, .symlink(target: target), metadata)
    }

    private func make(_ key: Key, _ body: Entry.Body, _ metadata: Metadata) async throws(ObjectError) -> Entry {
        try checkEntryLimit()
        try checkParents(of: key)
        if try lookup(key) != nil { throw ObjectError(.exists, "\(key) exists") }
        if try isDirectory(key.text) { throw ObjectError(.exists, "\(key) exists") }
        let entry = Entry(key: key, version: directory.nextVersion(), body: body, metadata: metadata)
        try await publish([.entry(entry)])
        return entry
    }

    /// Removes a directory that has nothing in it.
    ///
    /// - Throws: ``ObjectError`` `notFound`, `notDirectory`, `notEmpty` or `io`.
    public func removeDirectory(_ key: Key) async throws(ObjectError) {
        guard let entry = try lookup(key) else {
            if try isDirectory(key.text) { throw ObjectError(.notEmpty, "\(key) is not empty") }
            throw try absence(key)
        }
        guard entry.body == .directory else { throw ObjectError(.notDirectory, "\(key) is not a directory") }
        guard try children(of: key.text, after: nil, limit: 1).isEmpty else {
            throw ObjectError(.notEmpty, "\(key) is not empty")
        }
        try await publish([tombstone(entry)])
    }

    /// Gives an object, a link or a whole directory another name, in one publication; replaces an object by an object
    /// and an empty directory by a directory.
    ///
    /// - Parameter exclusive: fail where the new name is taken.
    /// - Returns: each entry that went and the one that came.
    /// - Throws: ``ObjectError`` with the errno that rename(2) names.
    public func rename(
        _ from: Key,
        to: Key,
        exclusive: Bool = false
    ) async throws(ObjectError) -> [(old: Entry, new: Entry)] {
        guard from != to else { return [] }
        guard !to.isBelow(from.text) else {
            throw ObjectError(.unsupported, "\(from) can't be moved below itself")
        }
        return try await attempting(from) { () throws(ObjectError) in
            try await renameAsSeen(from, to: to, exclusive: exclusive)
        }
    }

    /// Nil where something changed meanwhile.
    private func renameAsSeen(
        _ from: Key, to: Key, exclusive: Bool
    ) async throws(ObjectError) -> [(old: Entry, new: Entry)]? {
        try checkParents(of: to)
        let moved = try subtree(from)
        guard let first = moved.first else { throw try absence(from) }
        let movesDirectory = first.key != from || first.body == .directory
        try checkTarget(to, of: from, movesDirectory: movesDirectory, exclusive: exclusive)
        var pairs: [(old: Entry, new: Entry)] = []
        for old in moved {
            do {
                let key = try old.key.moved(from: from, to: to)
                let new = Entry(key: key, version: directory.nextVersion(), body: old.body, metadata: old.metadata)
                pairs.append((old, new))
            } catch {
                throw ObjectError(error)
            }
        }
        return try await republish(pairs, absent: exclusive ? to : nil) ? pairs : nil
    }

    /// Sets mode or time of an object, a link or a directory.
    public func setMetadata(_ key: Key, mode: UInt16?, modified: Int64?) async throws(ObjectError) -> Entry {
        try await attempting(key) { () throws(ObjectError) in
            guard let old = try lookup(key) else { throw try absence(key) }
            var metadata = old.metadata
            if let mode { metadata.mode = mode & 0o7777 }
            if let modified { metadata.modified = modified }
            guard metadata != old.metadata else { return old }
            // Just above what it follows from: other bytes that somebody publishes meanwhile, here or elsewhere, win.
            let version = Entry(removing: old, by: directory.agent).version
            let new = Entry(key: key, version: version, body: old.body, metadata: metadata)
            return try await republish([(old, new)]) ? new : nil
        }
    }
}

extension ObjectCache {
    /// Refuses a new object where a directory is, or below an object.
    func checkPlace(of key: Key) throws(ObjectError) {
        let place: (parent: Entry?, isDirectory: Bool)
        do {
            place = try store.catalog.place(of: key)
        } catch {
            throw ObjectError(error)
        }
        if place.isDirectory { throw ObjectError(.isDirectory, "\(key) is a directory") }
        // The usual case: made by mkdir. Else it is implied, or the root, and an object may stand further up.
        guard place.parent?.body != .directory else { return }
        try checkParents(of: key)
    }

    /// Refuses a key that lies below an object.
    public func checkParents(of key: Key) throws(ObjectError) {
        var text = String(key.parent)
        while text.utf8.contains(UInt8(ascii: "/")) {
            let parent: Key
            do {
                parent = try Key(text)
            } catch {
                throw ObjectError(error)
            }
            if let entry = try lookup(parent) {
                guard entry.body == .directory else {
                    throw ObjectError(.notDirectory, "\(parent) is not a directory")
                }
                return
            }
            text = String(parent.parent)
        }
    }

    private func checkTarget(
        _ to: Key,
        of from: Key,
        movesDirectory: Bool,
        exclusive: Bool
    ) throws(ObjectError) {
        let entry = try lookup(to)
        let isDirectory = try isDirectory(to.text)
        guard entry != nil || isDirectory else { return }
        if exclusive { throw ObjectError(.exists, "\(to) exists") }
        switch (movesDirectory, isDirectory) {
        case (true, false): throw ObjectError(.notDirectory, "\(to) is not a directory")
        case (false, true): throw ObjectError(.isDirectory, "\(to) is a directory")
        case (true, true):
            guard try children(of: to.text, after: nil, limit: 1).isEmpty else {
                throw ObjectError(.notEmpty, "\(to) is not empty")
            }
        case (false, false): break
        }
    }

    /// The entry of a key and those of all keys below it.
    private func subtree(_ key: Key) throws(ObjectError) -> [Entry] {
        var entries: [Entry] = []
        if let entry = try lookup(key) {
            entries.append(entry)
            guard entry.body == .directory else { return entries }
        }
        entries += try list(prefix: key.text + "/", after: nil, limit: ObjectCache.renameCountMax + 1)
        guard entries.count <= ObjectCache.renameCountMax else {
            throw ObjectError(
                .tooLarge, "\(key) has over \(ObjectCache.renameCountMax) keys below it; move it in parts")
        }
        return entries
    }

    /// The changes that publish an entry: publishing an object says that it is held, which is taken back where only a
    /// part of it is here.
    func changes(to entry: Entry) -> [Publication.Change] {
        guard let manifest = entry.manifest, (try? store.catalog.object(manifest))??.isWhole != true else {
            return [.entry(entry)]
        }
        return [.entry(entry), .holding(manifest: manifest, held: false)]
    }

    /// How often a change begins anew because the key got another version meanwhile: a key that is published faster than
    /// that for so long is in somebody else's hands.
    private static let attemptsMax = 16

    /// Repeats a change that follows from what keys name until they still name it when it is published.
    private func attempting<R>(
        _ key: Key, _ body: () async throws(ObjectError) -> R?
    ) async throws(ObjectError) -> R {
        for _ in 0..<ObjectCache.attemptsMax {
            if let result = try await body() { return result }
        }
        throw ObjectError(.busy, "\(key) is being published again and again; try later")
    }

    /// Publishes the same bytes under other entries; an old key that is not the new one is removed, unless somebody
    /// publishes other bytes there meanwhile.
    ///
    /// They are kept meanwhile: where the collector gives an object up, its keys are gone or only point elsewhere when
    /// that is over, and none may be made of what they were before.
    ///
    /// - Parameter absent: a key that must name nothing.
    /// - Returns: false where an old entry is not its key's any more, because it was evicted, removed or replaced: what
    ///   another agent published meanwhile is newer and must not be undone.
    private func republish(_ pairs: [(old: Entry, new: Entry)], absent: Key? = nil) async throws(ObjectError) -> Bool {
        do {
            return try await openObjects.keeping(pairs.compactMap(\.old.manifest)) {
                var changes: [Publication.Change] = []
                var seen: [ChangeGroup.Seen] = []
                for (old, new) in pairs {
                    changes += self.changes(to: new)
                    if old.key != new.key { changes.append(.entry(Entry(removing: old, by: directory.agent))) }
                    seen.append(ChangeGroup.Seen(old.key, old.version))
                }
                if let absent { seen.append(ChangeGroup.Seen(absent, nil)) }
                return try await directory.publish(ChangeGroup(changes, seen: seen))
            }
        } catch {
            throw ObjectError.from(error)
        }
    }

    func publish(_ changes: [Publication.Change]) async throws(ObjectError) {
        do {
            _ = try await directory.publish(changes)
        } catch {
            throw ObjectError.from(error)
        }
    }

    private func tombstone(_ entry: Entry) -> Publication.Change {
        .entry(
            Entry(key: entry.key, version: directory.nextVersion(), body: .tombstone, metadata: entry.metadata)
        )
    }

    private func absence(_ key: Key) throws(ObjectError) -> ObjectError {
        if try isDirectory(key.text) { return ObjectError(.isDirectory, "\(key) is a directory") }
        return ObjectError(.notFound, "\(key) does not exist")
    }
}
