// SPDX-License-Identifier: Apache-2.0

extension StreamEnd {
    /// Looks for an end-of-directory record in the last 64 KiB whose directory lies where it says.
    static func checkZip<E: Error>(
        size: UInt64, read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> StreamEnd {
        if try ZipDirectory.find(size: size, read: read) != nil { return .whole }
        return .torn("the zip has no end of its central directory in its last \(min(size, ZipDirectory.tailMax)) bytes")
    }
}
