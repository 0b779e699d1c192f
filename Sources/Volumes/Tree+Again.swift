// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE

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

    /// An earlier coming of the request had begun, and nothing is at the key any more.
    func isGone(_ key: Key, by request: Request) throws -> Bool {
        guard request.replay?.isBegun == true, staged[key] == nil else { return false }
        return try published(key) == nil
    }
}
