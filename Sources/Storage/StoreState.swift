// SPDX-License-Identifier: Apache-2.0

/// The two small files that say what a store is and how it was left.
///
/// `format`: the format's number and the store's secret, written once. `state`: `closed`, or the boot id of the machine
/// on which a process has it open; it decides how much a start has to check.
struct StoreState: Sendable {
    private static let formatName = "format"
    private static let stateName = "state"
    private static let closed = "closed"
    /// No boot's id: read as an end that is not known.
    private static let recovering = "open"
    private static let heading = "larder store 2"
    /// A store that may hold zstd where ``heading`` says LZ4: read, and from then on one of this format.
    private static let olderHeading = "larder store 1"

    let folder: Folder

    /// The store's secret; nil where the file is missing: the store is new, or the segments remember it.
    ///
    /// - Throws: ``StorageError`` `unsupported` where another version of the format made the store.
    func secret() throws(StorageError) -> UInt64? {
        guard let text = try folder.contents(StoreState.formatName) else { return nil }
        let lines = text.split(separator: "\n")
        guard let first = lines.first else { return nil }
        guard first == StoreState.heading || first == StoreState.olderHeading else {
            throw StorageError(
                .unsupported,
                "\(folder.path) holds a store of another format ('\(first.prefix(40))'); this build knows "
                    + "'\(StoreState.heading)': use the build that made it, or another store.path"
            )
        }
        return lines.dropFirst().first.flatMap { UInt64($0, radix: 16) }
    }

    /// Gives a store of the older format this one's number, so that an older build refuses it: it would take chunks in
    /// codecs that it does not know for damage.
    func upgrade() throws(StorageError) {
        guard let text = try folder.contents(StoreState.formatName),
            text.split(separator: "\n").first.map({ $0 == StoreState.olderHeading }) ?? false
        else { return }
        let secret = try secret()
        let rest = secret.map { String($0, radix: 16) + "\n" } ?? ""
        try folder.replace(StoreState.formatName, with: "\(StoreState.heading)\n\(rest)")
    }

    func setSecret(_ secret: UInt64) throws(StorageError) {
        try folder.replace(StoreState.formatName, with: "\(StoreState.heading)\n\(String(secret, radix: 16))\n")
    }

    /// How the store was left.
    func lastEnd() throws(StorageError) -> ChunkStore.LastEnd {
        let text = try folder.contents(StoreState.stateName)
        if text == StoreState.closed { return .closed }
        guard let text, let boot = StoreState.bootID, text == boot else { return .unknown }
        return .killed
    }

    /// Open, and to be looked through once more where this start does not come to its end.
    func setRecovering() throws(StorageError) { try folder.replace(StoreState.stateName, with: StoreState.recovering) }
    func setOpen() throws(StorageError) {
        try folder.replace(StoreState.stateName, with: StoreState.bootID ?? StoreState.recovering)
    }
    func setClosed() throws(StorageError) { try folder.replace(StoreState.stateName, with: StoreState.closed) }

    private static var bootID: String? {
        let kernel = try? Folder("/proc/sys/kernel/random").contents("boot_id")
        return kernel.flatMap { $0 }.flatMap { $0.isEmpty ? nil : $0 }
    }
}
