// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Objects

/// An open file.
enum Handle: Sendable {
    /// A published version.
    case reader(ObjectReader)
    /// A file being written; `appends`: every write goes to its end.
    case writer(StagedFile, appends: Bool)
    /// A file being written, opened only to read.
    case stagedReader(StagedFile)
    case directory(DirectoryListing)
    case status([UInt8])
    case hint(HintLines)
    case program(ProgramFile)
}

/// Open files by the number that the kernel was given.
final class HandleTable: Sendable {
    private struct State {
        var handles: [UInt64: Handle] = [:]
        var next: UInt64 = 1
    }

    private let state = NIOLockedValueBox(State())
    private let countMax: Int
    let journal: Journal?

    init(countMax: Int, journal: Journal? = nil) {
        self.countMax = countMax
        self.journal = journal
    }

    /// Fewer files are open than may be.
    var hasRoom: Bool { state.withLockedValue { $0.handles.count < countMax } }

    /// - Parameter unique: the request that opens it, which finds it again when it comes once more.
    func add(_ handle: Handle, for unique: UInt64 = 0) -> UInt64 {
        let number = state.withLockedValue { state in
            defer { state.next += 1 }
            state.handles[state.next] = handle
            return state.next
        }
        if let journal {
            journal.setCounter(.handle, number + 1)
            journal.write(handle, number, unique)
        }
        return number
    }

    /// A directory's listing, which knows its number.
    func addListing(for unique: UInt64) -> UInt64 {
        guard let journal else { return add(.directory(DirectoryListing())) }
        let number = state.withLockedValue { state in
            defer { state.next += 1 }
            state.handles[state.next] = .directory(DirectoryListing(note: (journal, state.next)))
            return state.next
        }
        journal.setCounter(.handle, number + 1)
        if let handle = self[number] { journal.write(handle, number, unique) }
        return number
    }

    subscript(number: UInt64) -> Handle? { state.withLockedValue { $0.handles[number] } }

    /// Takes a handle out. Of a file being written the caller gives it back first (``StagedFile/release()``): a
    /// successor must not find the last handle gone and nobody to publish.
    func remove(_ number: UInt64) -> Handle? {
        let handle = state.withLockedValue { $0.handles.removeValue(forKey: number) }
        if case .directory(let listing) = handle { listing.end() }
        journal?.remove(.handle, number)
        return handle
    }

    /// Takes in what a predecessor had open.
    func restore(_ handles: [UInt64: Handle], next: UInt64) {
        state.withLockedValue { state in
            state.handles = handles
            state.next = max(state.next, next)
        }
    }

    /// Takes every handle out: the mount is over.
    func removeAll() -> [Handle] {
        state.withLockedValue { state in
            defer { state.handles = [:] }
            return Array(state.handles.values)
        }
    }
}

/// Lines written to `.larder/hint`, across writes of any size.
final class HintLines: Sendable {
    /// A hint that is longer is no list of keys.
    static let byteCountMax = 1 << 20

    private let bytes = NIOLockedValueBox<[UInt8]>([])

    /// Returns false where the lines are too long.
    func append(_ more: UnsafeRawBufferPointer) -> Bool {
        bytes.withLockedValue { bytes in
            guard bytes.count + more.count <= HintLines.byteCountMax else { return false }
            bytes.append(contentsOf: more)
            return true
        }
    }

    /// The lines so far; the next call gives those written after it.
    func take() -> [String] {
        bytes.withLockedValue { bytes in
            defer { bytes = [] }
            return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
                .map { String($0) }
        }
    }
}
