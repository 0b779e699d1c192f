// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Objects

// Changes of names that come again, because the agent that had them died: none is done twice. Where its outcome was
// noted it is answered from that. Where it had begun, and what it would do is there, it was done: the kernel holds the
// directory's lock for it, so nobody of this node came between.

extension Tree {
    /// What an earlier coming of the request made at the key.
    func made(_ key: Key, by request: Request) throws -> Node? {
        guard let replay = request.replay else { return nil }
        if let outcome = replay.outcome, outcome.rawValue != 0 { throw outcome }
        guard replay.outcome != nil || replay.isBegun else { return nil }
        let node = try published(key)
        // It was made and answered, and is gone again since.
        if node == nil, replay.outcome != nil { throw Errno.notFound }
        return node
    }

    /// An earlier coming of the request renamed what is published: what inodes and files being written mean follows,
    /// where the agent died before it saw to that.
    func isRenamed(_ from: Key, to: Key, by request: Request) async throws -> Bool {
        guard request.replay?.isBegun == true, try published(from) == nil else { return false }
        let file = staged[from]
        // One that is renamed while it is written leads to its new name before anything else is done.
        guard file?.isVisible != true, try published(to) != nil || staged[to] != nil else { return false }
        if let file { await follow(file, from: from, to: to) }
        for version in nodes.published where PathText(version.key.text).isWithin(from.text) {
            let moved = try Key(PathText(version.key.text).moved(from: from.text, to: to.text))
            if let entry = try cache.lookup(moved) { nodes.replace(version.entry, with: entry) }
        }
        guard try cache.isDirectory(to.text) else { return true }
        nodes.moveDirectories(from: from.text, to: to.text)
        for (key, file) in staged.below(from.text) {
            await follow(file, from: key, to: try moved(key, from, to))
        }
        return true
    }

    /// A file that was being written when the agent died follows what was renamed. One that was closed by then is
    /// published by whoever is first; here that is under its new name.
    private func follow(_ file: StagedFile, from: Key, to: Key) async {
        let isLeft = file.takeLeft()
        move(file, from: from, to: to)
        if isLeft { await publish(file) }
    }

    /// An earlier coming of the request had begun, and nothing is at the key any more.
    func isGone(_ key: Key, by request: Request) throws -> Bool {
        guard request.replay?.isBegun == true, staged[key] == nil else { return false }
        return try published(key) == nil
    }
}
