// SPDX-License-Identifier: Apache-2.0

public import Logging
import NIOConcurrencyHelpers

/// One directory on one disk: chunks, names, space and staging files of one agent.
///
/// ```
/// lock        held while a process has the store; says which
/// format      number of the format, and the store's secret
/// state       how it was left
/// segments/   chunks
/// index/      where they are
/// catalog…    names (SQLite)
/// staging/    objects being written; emptied at open, but for what a mount's files go on with
/// ```
public final class Store: Sendable {
    public let chunks: ChunkStore
    public let catalog: Catalog
    public let space: SpaceLedger
    /// The path of the directory.
    public let directory: String

    private let lock: NIOLockedValueBox<StoreLock?>
    private let state: StoreState
    private let staging: StagingFolder
    private let occupancy: Occupancy

    /// Opens the store of a directory, and makes it where there is none.
    ///
    /// - Throws: ``StorageError`` of any code: `locked` where another process has it open.
    public static func open(_ configuration: StoreConfiguration, logger: Logger) throws(StorageError) -> Store {
        let root = try Folder(making: configuration.directory, faults: configuration.faults)
        let lock = try StoreLock(directory: root)
        let state = StoreState(folder: root)
        let secret = try state.secret()
        try state.upgrade()
        let lastEnd = try state.lastEnd()
        let staging = try Folder(making: root.path("staging"), faults: configuration.faults)
        for name in try staging.names() where !configuration.keptStaging.contains(name) { try staging.remove(name) }
        let catalog = try Catalog.open(path: configuration.directory, logger: logger)
        // Said before anything is written: a second crash must not find a store that claims to be closed, nor one that
        // a power loss left and nobody looked through.
        if lastEnd == .killed { try state.setOpen() } else { try state.setRecovering() }
        let occupancy = Occupancy()
        let chunks = try ChunkStore.open(
            configuration, catalog: catalog, occupancy: occupancy, lastEnd: lastEnd, secret: secret, logger: logger
        )
        if secret == nil { try state.setSecret(chunks.secret) }
        if lastEnd == .unknown { try giveUpLostObjects(chunks, catalog, logger: logger) }
        try state.setOpen()
        return Store(
            chunks: chunks, catalog: catalog, space: try SpaceLedger(configuration, occupancy: occupancy),
            occupancy: occupancy, lock: lock, state: state,
            staging: StagingFolder(staging, kept: configuration.keptStaging)
        )
    }

    private init(
        chunks: ChunkStore, catalog: Catalog, space: SpaceLedger, occupancy: Occupancy, lock: StoreLock,
        state: StoreState, staging: StagingFolder
    ) {
        self.chunks = chunks
        self.catalog = catalog
        self.space = space
        self.occupancy = occupancy
        self.lock = NIOLockedValueBox(lock)
        self.state = state
        self.staging = staging
        directory = state.folder.path
    }

    /// Makes an empty staging file, whose bytes count against a claim.
    public func makeStagingFile(claim: SpaceLedger.Claim) throws(StorageError) -> StagingFile {
        return try StagingFile(in: staging, claim: claim, occupancy: occupancy)
    }

    /// Goes on with a staging file that was kept at the open.
    public func resumeStagingFile(_ name: String, claim: SpaceLedger.Claim) throws(StorageError) -> StagingFile {
        try StagingFile(resuming: name, in: staging, claim: claim, occupancy: occupancy)
    }

    /// Brings everything to the disk and gives the lock back; a second close does nothing. Use nothing of the store
    /// after it.
    ///
    /// - Throws: ``StorageError`` `io` or `noSpace`; the store is then as after a crash, and the lock is given back.
    public func close() throws(StorageError) {
        guard lock.withLockedValue({ $0 != nil }) else { return }
        defer { lock.withLockedValue { $0 = nil } }
        staging.close()
        try chunks.checkpoint()
        try catalog.sync()
        try catalog.close()
        try state.setClosed()
    }
}
