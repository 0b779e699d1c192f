// SPDX-License-Identifier: Apache-2.0

import FUSE
import Glibc
import Objects

// Where bytes are and where there are none: fallocate(2) and lseek(2).

extension Tree {
    func allocate(
        _ request: Request,
        inode: UInt64,
        handle: UInt64,
        mode: Int32,
        offset: UInt64,
        length: UInt64,
        reply: consuming Reply
    ) {
        guard case .writer(let file, _) = handles[handle] else { return reply.error(.badDescriptor) }
        if request.replay?.outcome?.rawValue == 0 { return reply.done() }
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !overflow else { return reply.error(.fileTooBig) }
        let asked = Allocation(rawValue: mode)
        guard asked.isSubset(of: [.keepSize, .punchHole, .zeroRange]) else { return reply.error(.notSupported) }
        reply.later { [self] reply in
            do {
                file.noteModified()
                if !asked.contains(.punchHole) { try await file.writer.expect(size: end) }
                if !asked.isDisjoint(with: [.punchHole, .zeroRange]) {
                    try await zero(file, offset..<max(offset, min(end, file.writer.size)))
                }
                if !asked.contains(.keepSize), end > file.writer.size { try await file.writer.truncate(to: end) }
                reply.done()
            } catch {
                reply.error(.from(error))
            }
        }
    }

    /// What fallocate(2) may be asked for (linux/falloc.h).
    private struct Allocation: OptionSet {
        let rawValue: Int32
        static let keepSize = Allocation(rawValue: 0x01)
        static let punchHole = Allocation(rawValue: 0x02)
        static let zeroRange = Allocation(rawValue: 0x10)
    }

    /// Holes are written as zeros: what is published has no holes, and equal chunks of zeros are stored once.
    private func zero(_ file: StagedFile, _ range: Range<UInt64>) async throws {
        let pieceMax: UInt64 = 1 << 20
        let zeros = [UInt8](repeating: 0, count: Int(min(UInt64(range.count), pieceMax)))
        var at = range.lowerBound
        while at < range.upperBound {
            let count = Int(min(UInt64(zeros.count), range.upperBound - at))
            try await write(Array(zeros[..<count]), to: file, at: at)
            at += UInt64(count)
        }
    }

    /// A file is all data: what follows the offset is data, and the one hole is at its end (lseek(2)).
    func seek(
        _ request: Request,
        inode: UInt64,
        handle: UInt64,
        offset: UInt64,
        whence: Int32,
        reply: consuming Reply
    ) {
        let size: UInt64
        switch handles[handle] {
        case .reader(let reader): size = reader.size
        case .writer(let file, _), .stagedReader(let file): size = file.writer.size
        case .program(let program): size = program.size
        case .status, .hint, .directory, nil: return reply.error(.invalid)
        }
        guard offset < size else { return reply.error(.noAddress) }
        switch whence {
        case 3: reply.offset(offset)
        case 4: reply.offset(size)
        default: reply.error(.invalid)
        }
    }
}
