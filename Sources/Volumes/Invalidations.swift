// SPDX-License-Identifier: Apache-2.0

import Content
import Dispatch
import FUSE
import Objects

/// Tells the kernel that names lead elsewhere now, before a publication is acknowledged.
///
/// The kernel takes the directory's lock for it, which an operation in that directory may hold while it waits for us.
/// So it is done on a thread of its own, never on one that answers requests, and is waited for only so long.
final class Invalidations: Sendable {
    /// How long a publication waits for the kernel. An operation that holds the directory's lock for longer is itself
    /// waiting for a publication; that name is told as soon as the lock is free.
    static let patience = DispatchTimeInterval.milliseconds(250)

    private let session: Session
    private let tree: Tree
    private let queue = DispatchQueue(label: "larder.invalidations")

    init(session: Session, tree: Tree) {
        self.session = session
        self.tree = tree
    }

    func invalidate(_ entries: [Entry]) async {
        let keys = entries.map(\.key).filter {
            $0.namespace.hasSameBytes(as: tree.configuration.namespace) && !tree.isOwnChange($0)
        }
        await invalidate(keys.compactMap(name))
    }

    func invalidate(_ key: Key) async {
        if let name = name(key) { await invalidate([name]) }
    }

    /// Drops what the kernel holds of an inode whose handles are all closed.
    func forgetPages(of inode: UInt64) { session.invalidate(inode: inode) }

    /// A key as the kernel knows it; nil where it does not know the directory.
    private func name(_ key: Key) -> (parent: UInt64, name: String)? {
        tree.nodes.inode(ofDirectory: String(key.parent)).map { ($0, String(key.name)) }
    }

    private func invalidate(_ names: [(parent: UInt64, name: String)]) async {
        guard !names.isEmpty else { return }
        let done = OneShot()
        await withCheckedContinuation { continuation in
            queue.async { [session] in
                for (parent, name) in names { session.invalidate(parent: parent, name: name) }
                if done.claim() { continuation.resume() }
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + Invalidations.patience) {
                if done.claim() { continuation.resume() }
            }
        }
    }
}
