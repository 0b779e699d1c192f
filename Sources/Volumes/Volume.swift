// SPDX-License-Identifier: Apache-2.0

import Content
public import FUSE
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
    private let cache: ObjectCache
    private let special: SpecialFiles
    private let logger: Logger
    private let state: NIOLockedValueBox<State>

    private struct State {
        var tree: Tree
        var session: Session?
        var held: HeldMount?
    }

    /// - Parameter held: the mount, where a holder keeps it. What a predecessor left in it is taken over here, before
    ///   anything else is done with the cache.
    public init(
        configuration: VolumeConfiguration,
        cache: ObjectCache,
        special: SpecialFiles,
        logger: Logger,
        held: HeldMount? = nil
    ) {
        self.configuration = configuration
        self.cache = cache
        self.special = special
        self.logger = logger
        let tree = Volume.tree(configuration, cache, special, logger, held)
        let state = NIOLockedValueBox(State(tree: tree, held: held))
        self.state = state
        cache.observe { entries in
            let tree = state.withLockedValue { $0.tree }
            tree.notePublication()
            await tree.invalidations?.invalidate(entries)
        }
    }

    private static func tree(
        _ configuration: VolumeConfiguration, _ cache: ObjectCache, _ special: SpecialFiles, _ logger: Logger,
        _ held: HeldMount?
    ) -> Tree {
        let journal = held.map { Journal($0.memory, begin: HeldMount.journalOffset) }
        let tree = Tree(configuration: configuration, cache: cache, special: special, logger: logger, journal: journal)
        if let journal { tree.restore(journal) }
        return tree
    }

    /// The staging files that a predecessor was writing in a held mount: the store is to keep them when it is opened.
    public static func stagingNames(in held: HeldMount) -> Set<String> {
        let records = Journal(held.memory, begin: HeldMount.journalOffset).records()
        return Set(records.filter { $0.kind == .staged }.compactMap { try? Journal.writer($0).staging })
    }

    /// The kernel is connected.
    public var isServing: Bool { state.withLockedValue { $0.session?.isServing ?? false } }

    /// For how long no thread of the mount has come to an end with its request; nil where one waits for requests.
    public var busyFor: Duration? { state.withLockedValue { $0.session }?.busyFor }

    /// Makes the directory ready for a mount, which a holder makes.
    ///
    /// - Throws: ``VolumeError``.
    public static func prepare(_ configuration: VolumeConfiguration) throws(VolumeError) {
        try VolumeLayout(configuration: configuration).prepare()
    }

    /// Mounts, or serves what a holder mounted. Stale mounts of ours are detached; anything else in the way is an
    /// error that names it.
    ///
    /// - Parameter held: a mount that came in place of the one of ``init(configuration:cache:special:logger:held:)``.
    /// - Throws: ``VolumeError``, or `FUSEError` with what the kernel said.
    public func start(held new: HeldMount? = nil) throws {
        if let new {
            let tree = Volume.tree(configuration, cache, special, logger, new)
            state.withLockedValue { state in
                state.tree = tree
                state.held = new
            }
        }
        let (tree, held) = state.withLockedValue { ($0.tree, $0.held) }
        let point = configuration.mountPoint
        var options = SessionOptions()
        // Jobs run as any user, and owners are squashed to one: any user of a volume may change any file in it.
        options.defaultPermissions = false
        let session: Session
        if let held {
            session = Session(held: held, mountPoint: point, options: options, operations: tree)
        } else {
            try VolumeLayout(configuration: configuration).prepare()
            session = try Session(mountPoint: point, options: options, operations: tree)
        }
        tree.invalidations = Invalidations(session: session, tree: tree)
        try session.mount()
        state.withLockedValue { $0.session = session }
        logger.info("volume mounted", metadata: ["volume": "\(configuration.name)", "path": "\(point)"])
    }

    /// Finishes what a predecessor of this process had begun, while requests are served.
    public func finishRestored() async { await state.withLockedValue { $0.tree }.finishRestored() }

    /// Returns when the mount is gone, by ``stop()`` or by somebody else's hand.
    public func untilEnded() async {
        guard let session = state.withLockedValue({ $0.session }) else { return }
        await session.waitUntilEnded()
    }

    /// Leaves the mount, which a holder keeps, to a successor.
    ///
    /// - Returns: whether every request that was read is answered and every closed file published. Otherwise the
    ///   process is to end at once, as if it were killed: what it did from here on, the successor would do again.
    public func leave() async -> Bool {
        let (tree, session) = state.withLockedValue { ($0.tree, $0.session) }
        guard let session else { return true }
        let leftNothing = await onThread { session.leave() }
        // A publication that is under way may lack what ends after this.
        guard leftNothing, tree.staged.releasing.isEmpty else { return false }
        tree.journal?.freeze()
        // Files being written are the successor's: their end here would remove what they staged.
        _ = Unmanaged.passRetained(tree)
        return true
    }

    /// Lets publications that are under way end, unmounts, and gives back what handles held: a file that is still open
    /// for writing is not published. The read-only directory stays (P12).
    public func stop() async {
        let (tree, session) = state.withLockedValue { ($0.tree, $0.session) }
        guard let session else { return }
        await tree.untilPublished(limit: Volume.publicationLimit)
        await onThread { session.stop() }
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
        state.withLockedValue { $0.session = nil }
    }

    /// It blocks until the session's threads have ended, so it has a thread of its own.
    private func onThread<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: body()) }
        }
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
