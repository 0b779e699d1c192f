// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Walks along the headers of a container while its bytes pass, and says where large bodies begin and end.
///
/// A structure is looked at when all of it is at hand, and ``position`` stands before it until then; bodies are not
/// looked at. So a boundary is known before the position passes it.
struct ContainerWalk: Sendable {
    /// The most bytes of anything that is looked at as one: a pax header, a local header of a zip, or as much of a zip's
    /// body of unknown length as tells whether it is a large one. What is longer is skipped or makes the rest plain.
    static let structureMax = 128 << 10
    /// Containers within containers that are followed; an image's layers are one deep.
    private static let depthMax = 4
    /// A size above any object's is a lie, and small enough that sums do not overflow.
    private static let sizeMax: UInt64 = 1 << 40

    /// Everything before it was looked at. `UInt64.max`: nothing more will be.
    private(set) var position: UInt64 = 0
    private let bodyLengthMin: UInt64
    /// Ascending.
    private var boundaries: [UInt64] = []
    private var containers: [Container] = []
    private var state = State.body(end: .max)

    private struct Container: Sendable {
        let isZip: Bool
        /// Where the body that it is ends, with its padding.
        let end: UInt64
    }

    private enum State: Sendable {
        /// A body of at least ``bodyLengthMin`` bytes that ends there: it may be a container.
        case body(end: UInt64)
        /// A tar's header, after a pax header that says the size of the body.
        case tarHeader(size: UInt64?)
        /// A block of a sparse member's map, before its body of so many bytes.
        case tarMap(size: UInt64)
        case zipHeader
        /// A zip's body whose length is told after it.
        case zipBody(start: UInt64)
        /// Such a body of which ``bodyLengthMin`` bytes have passed.
        case zipRest(start: UInt64)
    }

    init(bodyLengthMin: Int) { self.bodyLengthMin = UInt64(bodyLengthMin) }

    /// The next boundary after a position. Forgets those before.
    mutating func boundary(after position: UInt64) -> UInt64? {
        let passed = boundaries.firstIndex { $0 > position } ?? boundaries.count
        if passed > 0 { boundaries.removeFirst(passed) }
        return boundaries.first
    }

    /// Looks at what there is until the position reaches `end`, or bytes are missing.
    ///
    /// - Parameter start: where `bytes` begin in the object, not after ``position``.
    mutating func advance(over bytes: UnsafeRawBufferPointer, at start: UInt64, to end: UInt64, isEnd: Bool) {
        while position < end {
            let at = UnsafeRawBufferPointer(rebasing: bytes[Int(position - start)...])
            guard step(at, isEnd: isEnd) else {
                // The object ends within something: it is torn, and its rest is plain.
                if isEnd { position = .max }
                return
            }
            leave()
        }
    }

    /// Leaves the containers that have ended.
    private mutating func leave() {
        while let last = containers.last, position >= last.end {
            containers.removeLast()
            if position != .max {
                // What is malformed may seem to go on beyond it.
                position = last.end
                boundaries.append(position)
            }
            state = containers.last?.isZip == true ? .zipHeader : .tarHeader(size: nil)
            if containers.isEmpty { position = .max }
        }
    }

    /// The innermost container is not, or no longer, what it seemed: its rest is a body like any other.
    private mutating func giveUp() -> Bool {
        position = containers.last?.end ?? .max
        return true
    }

    /// Looks at one structure. Returns false where bytes of it are missing.
    private mutating func step(_ bytes: UnsafeRawBufferPointer, isEnd: Bool) -> Bool {
        switch state {
        case .body(let end): return bodyStep(bytes, end: end, isEnd: isEnd)
        case .tarHeader(let size): return tarStep(bytes, size: size)
        case .tarMap(let size):
            guard bytes.count >= tarBlock else { return false }
            position += UInt64(tarBlock)
            return bytes[504] == 0 ? enterBody(at: position, size: size, padded: TarHeader.padded(size)) : true
        case .zipHeader: return zipStep(bytes)
        case .zipBody(let start): return zipBodyStep(bytes, start: start)
        case .zipRest(let start): return zipRestStep(bytes, start: start)
        }
    }

    /// A body begins at `start`; the next header is due after its padding.
    private mutating func enterBody(at start: UInt64, size: UInt64, padded: UInt64) -> Bool {
        guard let container = containers.last, size <= ContainerWalk.sizeMax, start <= container.end,
            padded <= container.end - start
        else { return giveUp() }
        if size >= bodyLengthMin {
            boundaries.append(start)
            position = start
            state = .body(end: start + padded)
        } else {
            position = start + padded
            state = container.isZip ? .zipHeader : .tarHeader(size: nil)
        }
        return true
    }

    private mutating func bodyStep(_ bytes: UnsafeRawBufferPointer, end: UInt64, isEnd: Bool) -> Bool {
        guard bytes.count >= tarBlock else { return false }
        if containers.count < ContainerWalk.depthMax {
            let isZip = bytes.little32(0) == zipLocalHeader
            if isZip || TarHeader(UnsafeRawBufferPointer(rebasing: bytes[..<tarBlock])) != nil {
                containers.append(Container(isZip: isZip, end: end))
                state = isZip ? .zipHeader : .tarHeader(size: nil)
                return true
            }
        }
        guard let container = containers.last else { return giveUp() }
        boundaries.append(end)
        position = end
        state = container.isZip ? .zipHeader : .tarHeader(size: nil)
        return true
    }

    private mutating func tarStep(_ bytes: UnsafeRawBufferPointer, size paxSize: UInt64?) -> Bool {
        guard bytes.count >= tarBlock else { return false }
        // A block of zeros, the end, is none either.
        guard let header = TarHeader(UnsafeRawBufferPointer(rebasing: bytes[..<tarBlock])) else { return giveUp() }
        let next = position + UInt64(tarBlock)
        if header.isAbout {
            var paxSize = paxSize
            if header.type == UInt8(ascii: "x"), header.size <= ContainerWalk.structureMax - tarBlock {
                let end = tarBlock + Int(header.size)
                guard bytes.count >= end else { return false }
                paxSize = PaxRecords(UnsafeRawBufferPointer(rebasing: bytes[tarBlock..<end])).size ?? paxSize
            }
            guard header.size <= ContainerWalk.sizeMax else { return giveUp() }
            position = next + TarHeader.padded(header.size)
            state = .tarHeader(size: paxSize)
            return true
        }
        let size = header.bodySize(pax: paxSize)
        if header.isExtended {
            position = next
            state = .tarMap(size: size)
            return true
        }
        guard size <= ContainerWalk.sizeMax else { return giveUp() }
        return enterBody(at: next, size: size, padded: TarHeader.padded(size))
    }
}

extension ContainerWalk {
    /// Bytes that tell whether a signature is what it seems: a descriptor of zip64 and the next signature.
    private static let descriptorLookAhead = 28

    private mutating func zipStep(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= 30 else { return false }
        switch bytes.little32(0) {
        case zipLocalHeader: return zipLocalStep(bytes)
        case zipDescriptor:
            guard bytes.count >= ContainerWalk.descriptorLookAhead else { return false }
            position += ContainerWalk.isSignature(bytes, 16) ? 16 : 24
            return true
        case zipDirectoryHeader:
            boundaries.append(position)
            return giveUp()
        default: return giveUp()
        }
    }

    private mutating func zipLocalStep(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let name = Int(bytes.little16(26))
        let head = 30 + name + Int(bytes.little16(28))
        guard head <= ContainerWalk.structureMax else { return giveUp() }
        guard bytes.count >= head else { return false }
        let start = position + UInt64(head)
        var size = UInt64(bytes.little32(18))
        if size == 0xffff_ffff {
            let extra = UnsafeRawBufferPointer(rebasing: bytes[(30 + name)..<head])
            guard let long = ContainerWalk.zip64Size(extra, hasRawSize: bytes.little32(22) == 0xffff_ffff) else {
                return giveUp()
            }
            size = long
        }
        if bytes.little16(6) & 8 != 0, size == 0 {
            position = start
            state = .zipBody(start: start)
            return true
        }
        return enterBody(at: start, size: size, padded: size)
    }

    /// What there is of the innermost container from the position on: bytes after its end are not its own, and how many
    /// of them are at hand must make no difference.
    private func own(_ bytes: UnsafeRawBufferPointer) -> (bytes: UnsafeRawBufferPointer, isAll: Bool) {
        guard let end = containers.last?.end, end - position <= UInt64(bytes.count) else { return (bytes, false) }
        return (UnsafeRawBufferPointer(rebasing: bytes[..<Int(end - position)]), true)
    }

    /// The first bytes of a body of unknown length: whether it is a large one.
    private mutating func zipBodyStep(_ bytes: UnsafeRawBufferPointer, start: UInt64) -> Bool {
        let most = Int(bodyLengthMin)
        let (bytes, isAll) = own(bytes)
        guard bytes.count >= most + ContainerWalk.descriptorLookAhead else {
            // Small ones at the end of a zip have less after them: its directory.
            guard let end = ContainerWalk.descriptorEnd(bytes, from: 0, to: bytes.count, start: 0) else {
                return isAll ? giveUp() : false
            }
            position += UInt64(end)
            state = .zipHeader
            return true
        }
        if let end = ContainerWalk.descriptorEnd(bytes, from: 0, to: most, start: 0) {
            position += UInt64(end)
            state = .zipHeader
        } else {
            boundaries.append(start)
            position += UInt64(most)
            state = .zipRest(start: start)
        }
        return true
    }

    private mutating func zipRestStep(_ bytes: UnsafeRawBufferPointer, start: UInt64) -> Bool {
        let (bytes, isAll) = own(bytes)
        let most = bytes.count - ContainerWalk.descriptorLookAhead
        if most > 0, let end = ContainerWalk.descriptorEnd(bytes, from: 0, to: most, start: position - start) {
            position += UInt64(end)
            boundaries.append(position)
            state = .zipHeader
            return true
        }
        if isAll { return giveUp() }
        guard most > 0 else { return false }
        position += UInt64(most)
        return true
    }

    /// Where a descriptor ends that says the length of the body before it.
    ///
    /// - Parameter start: bytes of the body before `bytes`.
    private static func descriptorEnd(
        _ bytes: UnsafeRawBufferPointer, from: Int, to end: Int, start: UInt64
    ) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        var at = from
        while at < end, let found = memchr(base + at, 0x50, end - at) {
            at = UnsafeRawPointer(found) - base
            guard at + descriptorLookAhead <= bytes.count else { return nil }
            if bytes.little32(at) == zipDescriptor {
                let length = start + UInt64(at)
                if UInt64(bytes.little32(at + 8)) == length, isSignature(bytes, at + 16) { return at + 16 }
                if bytes.little64(at + 8) == length, isSignature(bytes, at + 24) { return at + 24 }
            }
            at += 1
        }
        return nil
    }

    private static func isSignature(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Bool {
        let word = bytes.little32(at)
        return word == zipLocalHeader || word == zipDirectoryHeader
    }

    /// The compressed size in the zip64 field of a local header.
    private static func zip64Size(_ fields: UnsafeRawBufferPointer, hasRawSize: Bool) -> UInt64? {
        var at = 0
        while at + 4 <= fields.count {
            let length = Int(fields.little16(at + 2))
            guard at + 4 + length <= fields.count else { return nil }
            if fields.little16(at) == 1 {
                let before = hasRawSize ? 8 : 0
                return before + 8 <= length ? fields.little64(at + 4 + before) : nil
            }
            at += 4 + length
        }
        return nil
    }
}
