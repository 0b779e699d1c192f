// SPDX-License-Identifier: Apache-2.0

extension StreamEnd {
    /// Walks the members' headers: whole where a block of zeros stands where a header is due.
    static func checkTar<E: Error>(
        size: UInt64, read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> StreamEnd {
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: tarBlock, alignment: 8)
        defer { block.deallocate() }
        var at: UInt64 = 0
        var paxSize: UInt64?
        while true {
            guard try fill(block, at: at, of: size, read) == tarBlock else {
                return .torn("the tar ends at byte \(size), where a header or the end mark is due")
            }
            if block.allSatisfy({ $0 == 0 }) { return .whole }
            guard let header = TarHeader(UnsafeRawBufferPointer(block)) else { return .unknown }
            at += UInt64(tarBlock)
            if header.isExtended {
                repeat {
                    guard try fill(block, at: at, of: size, read) == tarBlock else {
                        return .torn("the tar ends at byte \(size), within the map of a sparse member")
                    }
                    at += UInt64(tarBlock)
                } while block[504] != 0
            }
            let body: UInt64
            if header.type == UInt8(ascii: "x") {
                body = header.size
                paxSize = try paxRecordSize(at: at, count: body, of: size, read: read)
            } else if header.type == UInt8(ascii: "L") || header.type == UInt8(ascii: "K") {
                body = header.size
            } else {
                body = header.bodySize(pax: paxSize)
                paxSize = nil
            }
            let left = size - min(at, size)
            guard body <= left else {
                return .torn("the tar ends at byte \(size), within a member that goes on to byte \(at &+ body)")
            }
            at += (body + UInt64(tarBlock) - 1) / UInt64(tarBlock) * UInt64(tarBlock)
        }
    }

    /// The `size` record of a pax header, where it has one: bytes of the next member's body, where eleven octal digits
    /// cannot say them.
    private static func paxRecordSize<E: Error>(
        at offset: UInt64, count: UInt64, of size: UInt64,
        read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> UInt64? {
        guard count > 0, count <= PaxRecords.byteCountMax else { return nil }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(count), alignment: 8)
        defer { buffer.deallocate() }
        guard try fill(buffer, at: offset, of: size, read) == buffer.count else { return nil }
        return PaxRecords(UnsafeRawBufferPointer(buffer)).size
    }
}
