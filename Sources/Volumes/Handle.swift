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

    init(countMax: Int) { self.countMax = countMax }

    /// Fewer files are open than may be.
    var hasRoom: Bool { state.withLockedValue { $0.handles.count < countMax } }

    func add(_ handle: Handle) -> UInt64 {
        state.withLockedValue { state in
            defer { state.next += 1 }
            state.handles[state.next] = handle
            return state.next
        }
    }

    subscript(number: UInt64) -> Handle? { state.withLockedValue { $0.handles[number] } }

    func remove(_ number: UInt64) -> Handle? { state.withLockedValue { $0.handles.removeValue(forKey: number) } }

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
