// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOConcurrencyHelpers

/// One append-only file of records, `segments/NNNNNNNN.seg`. A number is never used twice.
///
/// It begins with 64 bytes: `LARDRSEG`, `u32` format 1, `u32` number, `u64` the store's secret, zeros. Records do not
/// need them; they bring the secret back where its own file is lost.
final class Segment: Sendable {
    static let headerByteCount = 64
    private static let magic: UInt64 = 0x4745_5352_4452_414c
    private static let format: UInt32 = 1

    let number: UInt32
    let file: Descriptor

    private init(number: UInt32, file: Descriptor) {
        self.number = number
        self.file = file
    }

    static func name(_ number: UInt32) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".seg"
    }

    /// The number in a segment's file name, or nil where the name is another's.
    static func number(of name: String) -> UInt32? {
        guard name.hasSuffix(".seg"), let number = UInt32(name.dropLast(4)), Segment.name(number) == name else {
            return nil
        }
        return number
    }

    static func create(_ number: UInt32, in folder: Folder, secret: UInt64) throws(StorageError) -> Segment {
        let file = try folder.open(name(number), O_RDWR | O_CREAT | O_EXCL)
        let header = UnsafeMutableRawBufferPointer.allocate(byteCount: headerByteCount, alignment: 8)
        defer { header.deallocate() }
        header.initializeMemory(as: UInt8.self, repeating: 0)
        header.storeBytes(of: magic.littleEndian, toByteOffset: 0, as: UInt64.self)
        header.storeBytes(of: format.littleEndian, toByteOffset: 8, as: UInt32.self)
        header.storeBytes(of: number.littleEndian, toByteOffset: 12, as: UInt32.self)
        header.storeBytes(of: secret.littleEndian, toByteOffset: 16, as: UInt64.self)
        do {
            try file.write(UnsafeRawBufferPointer(header), at: 0)
        } catch {
            try? folder.remove(name(number))
            throw error
        }
        return Segment(number: number, file: file)
    }

    static func open(_ number: UInt32, in folder: Folder) throws(StorageError) -> Segment {
        Segment(number: number, file: try folder.open(name(number), O_RDWR))
    }

    /// The store's secret as this segment remembers it, or nil where the header is damaged.
    func secret() throws(StorageError) -> UInt64? {
        let header = UnsafeMutableRawBufferPointer.allocate(byteCount: Segment.headerByteCount, alignment: 8)
        defer { header.deallocate() }
        guard try file.read(into: header, at: 0) == header.count,
            UInt64(littleEndian: header.load(as: UInt64.self)) == Segment.magic,
            UInt32(littleEndian: header.load(fromByteOffset: 12, as: UInt32.self)) == number
        else { return nil }
        return UInt64(littleEndian: header.load(fromByteOffset: 16, as: UInt64.self))
    }
}

/// The open segments by number: one short lock on the way of a read.
final class SegmentTable: Sendable {
    private struct State {
        var first: UInt32 = 0
        var segments: [Segment?] = []
    }

    private let state = NIOLockedValueBox(State())

    subscript(number: UInt32) -> Segment? {
        state.withLockedValue { state in
            guard number >= state.first, Int(number - state.first) < state.segments.count else { return nil }
            return state.segments[Int(number - state.first)]
        }
    }

    func add(_ segment: Segment) {
        state.withLockedValue { state in
            if state.segments.isEmpty { state.first = segment.number }
            while segment.number < state.first {
                state.segments.insert(nil, at: 0)
                state.first -= 1
            }
            let at = Int(segment.number - state.first)
            while state.segments.count <= at { state.segments.append(nil) }
            state.segments[at] = segment
        }
    }

    /// Takes a segment out; who still reads it keeps its descriptor.
    func remove(_ number: UInt32) {
        let removed = state.withLockedValue { state -> Segment? in
            guard number >= state.first, Int(number - state.first) < state.segments.count else { return nil }
            let at = Int(number - state.first)
            defer {
                state.segments[at] = nil
                let gone = state.segments.prefix { $0 == nil }.count
                state.segments.removeFirst(gone)
                state.first += UInt32(gone)
            }
            return state.segments[at]
        }
        // The descriptor is closed here, outside the lock.
        _ = removed
    }
}
