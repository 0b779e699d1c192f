// SPDX-License-Identifier: Apache-2.0

import FUSE
import Objects

// Answers that hand out references. Where the kernel no longer wants one (its caller was killed), it is taken back.

extension Tree {
    func answer(_ found: Found, _ reply: consuming Reply) {
        if !reply.found(found) { nodes.forget(found.attributes.inode, count: 1) }
    }

    func answer(_ found: Found, _ reply: PendingReply) {
        if !reply.found(found) { nodes.forget(found.attributes.inode, count: 1) }
    }

    func answerOpened(_ opened: Opened, _ reply: consuming Reply) {
        if !reply.opened(opened) { takeBack(opened) }
    }

    func answerOpened(_ opened: Opened, _ reply: PendingReply) {
        if !reply.opened(opened) { takeBack(opened) }
    }

    func answerCreated(_ found: Found, _ opened: Opened, _ reply: consuming Reply) {
        guard !reply.created(found, opened) else { return }
        nodes.forget(found.attributes.inode, count: 1)
        takeBack(opened)
    }

    func answerCreated(_ found: Found, _ opened: Opened, _ reply: PendingReply) {
        guard !reply.created(found, opened) else { return }
        nodes.forget(found.attributes.inode, count: 1)
        takeBack(opened)
    }

    /// A handle that nobody will release. A writer's file is dropped unless others write it: its creator never knew.
    private func takeBack(_ opened: Opened) {
        switch handles.remove(opened.handle) {
        case .reader(let reader): reader.close()
        case .writer(let file, _), .stagedReader(let file):
            guard file.release() else { return }
            file.writer.discard()
            staged.remove(file, at: file.writer.key)
            file.end(nil)
        case .directory, .status, .hint, .program, nil: break
        }
    }
}
