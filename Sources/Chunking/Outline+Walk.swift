// SPDX-License-Identifier: Apache-2.0

extension Outline {
    /// Walks an object from header to header: a tar and the tars in it, or a zip by its central directory.
    ///
    /// - Parameters:
    ///   - size: bytes of the object.
    ///   - read: fills the buffer from an offset and says how many bytes it gave; 0 at the object's end. It is asked for
    ///     headers only, in ascending order for a tar.
    /// - Returns: nil for what is no container. One that ends early, or is malformed in the middle, has the members
    ///   before that.
    /// - Throws: only what `read` throws.
    public init?<E: Error>(
        size: UInt64, read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) {
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: tarBlock, alignment: 8)
        defer { block.deallocate() }
        let count = try StreamEnd.fill(block, at: 0, of: size, read)
        let bytes = UnsafeRawBufferPointer(block)
        var members: [Member]
        if count >= 4, bytes.little32(0) == zipLocalHeader {
            members = try Outline.zipMembers(size: size, read: read)
        } else if count == tarBlock, TarHeader(bytes) != nil {
            members = []
            var path: [UInt8]?
            try Outline.walk(0..<size, of: size, depth: 0, block: block, path: &path, into: &members, read: read)
        } else {
            return nil
        }
        guard !members.isEmpty else { return nil }
        self.init(members: members)
    }

    /// Walks the tar that fills a range.
    private static func walk<E: Error>(
        _ range: Range<UInt64>, of size: UInt64, depth: Int, block: UnsafeMutableRawBufferPointer, path: inout [UInt8]?,
        into members: inout [Member], read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) {
        var at = range.lowerBound
        var start: UInt64?
        var paxSize: UInt64?
        while at < range.upperBound, members.count < memberCountMax {
            guard try StreamEnd.fill(block, at: at, of: size, read) == tarBlock,
                let header = TarHeader(UnsafeRawBufferPointer(block))
            else { return }
            let here = start ?? at
            at += UInt64(tarBlock)
            if header.isAbout {
                guard header.size <= range.upperBound - min(at, range.upperBound) else { return }
                start = here
                let records = try about(header, at: at, of: size, read: read)
                path = records.path ?? path
                paxSize = records.size ?? paxSize
                at += TarHeader.padded(header.size)
                continue
            }
            let name = path ?? TarHeader.path(UnsafeRawBufferPointer(block))
            path = nil
            start = nil
            if header.isExtended {
                repeat {
                    guard try StreamEnd.fill(block, at: at, of: size, read) == tarBlock else { return }
                    at += UInt64(tarBlock)
                } while block[504] != 0
            }
            let bodySize = header.bodySize(pax: paxSize)
            paxSize = nil
            guard bodySize <= range.upperBound - min(at, range.upperBound) else { return }
            let body = at..<at + bodySize
            at += TarHeader.padded(bodySize)
            if bodySize >= UInt64(2 * tarBlock), depth < depthMax,
                try StreamEnd.fill(block, at: body.lowerBound, of: size, read) == tarBlock,
                TarHeader(UnsafeRawBufferPointer(block)) != nil
            {
                try walk(body, of: size, depth: depth + 1, block: block, path: &path, into: &members, read: read)
                path = nil
                continue
            }
            members.append(
                Member(pathHash: pathHash(name), header: here, body: body.lowerBound, end: body.upperBound)
            )
        }
    }

    /// What a header's body says of the next member.
    private static func about<E: Error>(
        _ header: TarHeader, at offset: UInt64, of size: UInt64,
        read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> (path: [UInt8]?, size: UInt64?) {
        let isPath = header.type == UInt8(ascii: "L")
        guard isPath || header.type == UInt8(ascii: "x"), (1...PaxRecords.byteCountMax).contains(header.size) else {
            return (nil, nil)
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(header.size), alignment: 8)
        defer { buffer.deallocate() }
        guard try StreamEnd.fill(buffer, at: offset, of: size, read) == buffer.count else { return (nil, nil) }
        if isPath { return (Array(buffer.prefix { $0 != 0 }), nil) }
        let records = PaxRecords(UnsafeRawBufferPointer(buffer))
        return (records.path, records.size)
    }
}
