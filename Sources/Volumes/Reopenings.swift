// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

/// Opens of published keys for writing that were answered ESTALE once: the kernel then looks the name up again and is
/// given the inode of the file being written, so that a writer never moves the size that readers see (P3).
///
/// Each holds one of its file's handles until the open comes again, or for ``ageMax``: its caller was killed.
final class Reopenings: Sendable {
    /// Between the answer and the second open lie microseconds, or somebody else's look-up of the same name, which the
    /// kernel lets both wait for: that may wait for a publication or an announced key.
    static let ageMax = Duration.seconds(15)

    private struct Pending {
        let key: Key
        let file: StagedFile
        /// 0 where the caller lives in another pid namespace, which is any caller then.
        let pid: Int32
        let until: ContinuousClock.Instant
    }

    private let state = NIOLockedValueBox<[Pending]>([])

    func begin(_ file: StagedFile, at key: Key, pid: Int32) {
        let until = ContinuousClock.now + Reopenings.ageMax
        file.await(pid: pid)
        state.withLockedValue { $0.append(Pending(key: key, file: file, pid: pid, until: until)) }
    }

    /// The file that a look-up by this caller leads to.
    func file(at key: Key, pid: Int32) -> StagedFile? {
        state.withLockedValue { pending in
            guard !pending.isEmpty else { return nil }
            return pending.first { $0.key == key && $0.pid == pid }?.file
        }
    }

    /// The open came again: its handle is the caller's from here on.
    func take(_ file: StagedFile, pid: Int32) -> Bool {
        state.withLockedValue { pending in
            guard let at = pending.firstIndex(where: { $0.file === file && $0.pid == pid }) else { return false }
            pending.remove(at: at)
            return true
        }
    }

    /// The caller came again without a look-up: it has the inode by other means than the name.
    func take(at key: Key, pid: Int32) -> StagedFile? {
        state.withLockedValue { pending in
            guard let at = pending.firstIndex(where: { $0.key == key && $0.pid == pid }) else { return nil }
            return pending.remove(at: at).file
        }
    }

    /// Files whose callers never came again, one for each handle that they held.
    func takeExpired() -> [StagedFile] {
        state.withLockedValue { pending in
            guard !pending.isEmpty else { return [] }
            let now = ContinuousClock.now
            let expired = pending.filter { $0.until <= now }
            pending.removeAll { $0.until <= now }
            return expired.map(\.file)
        }
    }

    /// Until when a file may be held for a caller to come; nil where it is not.
    func deadline(of file: StagedFile) -> ContinuousClock.Instant? {
        state.withLockedValue { pending in pending.filter { $0.file === file }.map(\.until).max() }
    }
}
