// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Foundation
import Glibc
public import Logging
import NIOConcurrencyHelpers
public import Objects

/// One mounted volume: layout, kernel connection, and the names that the kernel must be told of.
///
/// Layout (DESIGN §9): `<path>` is a small file system of our own in memory, read-only but for the moment in which the
/// control socket is bound; the FUSE mount is at `<path>/mnt`. Jobs mount `<path>`, so they see the FUSE mount come back
/// after a restart; and while it is not there, what they find refuses every write, to root too (P12).
public final class Volume: Sendable {
    /// How long a stop waits for files that were closed and are being published: within the 60 s that Kubernetes gives
    /// a pod to end, with time left for the rest.
    static let publicationLimit = Duration.seconds(30)

    public let configuration: VolumeConfiguration
    private let tree: Tree
    private let logger: Logger
    private let session = NIOLockedValueBox<Session?>(nil)

    public init(
        configuration: VolumeConfiguration,
        cache: ObjectCache,
        special: SpecialFiles,
        logger: Logger
    ) {
        self.configuration = configuration
        self.logger = logger
        let tree = Tree(configuration: configuration, cache: cache, special: special, logger: logger)
        self.tree = tree
        cache.observe { entries in
            tree.notePublication()
            await tree.invalidations?.invalidate(entries)
        }
    }

    /// The kernel is connected.
    public var isServing: Bool { session.withLockedValue { $0?.isServing ?? false } }

    /// Mounts. Stale mounts of ours are detached; anything else in the way is an error that names it.
    ///
    /// - Throws: ``VolumeError``, or `FUSEError` with what the kernel said.
    public func start() throws {
        let layout = VolumeLayout(configuration: configuration)
        try layout.prepare()
        var options = SessionOptions()
        // Jobs run as any user, and owners are squashed to one: any user of a volume may change any file in it.
        options.defaultPermissions = false
        let session = try Session(
            mountPoint: configuration.mountPoint,
            options: options,
            operations: tree
        )
        try session.mount()
        self.session.withLockedValue { $0 = session }
        tree.invalidations = Invalidations(session: session, tree: tree)
        logger.info(
            "volume mounted", metadata: ["volume": "\(configuration.name)", "path": "\(configuration.mountPoint)"])
    }

    /// Returns when the mount is gone, by ``stop()`` or by somebody else's hand.
    public func untilEnded() async {
        guard let session = session.withLockedValue({ $0 }) else { return }
        await session.waitUntilEnded()
    }

    /// Lets publications that are under way end, unmounts, and gives back what handles held: a file that is still open
    /// for writing is not published. The read-only directory stays (P12).
    public func stop() async {
        guard let session = session.withLockedValue({ $0 }) else { return }
        await tree.untilPublished(limit: Volume.publicationLimit)
        // It blocks until the session's threads have ended, so it has a thread of its own.
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                session.stop()
                continuation.resume()
            }
        }
        for handle in tree.handles.removeAll() {
            switch handle {
            case .reader(let reader): reader.close()
            case .writer(let file, _), .stagedReader(let file):
                if file.release() {
                    file.writer.discard()
                    file.end(nil)
                }
            case .directory, .status, .hint, .program: break
            }
        }
        tree.invalidations = nil
        self.session.withLockedValue { $0 = nil }
    }

    /// Makes the directory of the volume writable while `body` runs: a socket can be bound in it.
    public func withWritableParent<R>(_ body: () async throws -> R) async throws -> R {
        let layout = VolumeLayout(configuration: configuration)
        try layout.remount(readOnly: false)
        do {
            let result = try await body()
            try layout.remount(readOnly: true)
            return result
        } catch {
            try? layout.remount(readOnly: true)
            throw error
        }
    }

    /// Takes away what ``start()`` made below the path: for uninstalling, with the agent stopped.
    public static func uninstall(_ configuration: VolumeConfiguration) throws {
        try VolumeLayout(configuration: configuration).remove()
    }
}
