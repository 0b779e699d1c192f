// SPDX-License-Identifier: Apache-2.0

/// The part of an object that a `Range` header asks for (RFC 9110 §14).
enum RangeHeader {
    /// The bytes to send.
    ///
    /// - Returns: nil where all are meant: there is no header, or one that need not be understood (another unit,
    ///   several ranges, bad syntax), which the RFC says to ignore.
    /// - Throws: ``ControlError`` `badRange` where the range begins behind the end.
    static func bytes(_ header: String?, of size: UInt64) throws(ControlError) -> Range<UInt64>? {
        guard let header, header.hasPrefix("bytes=") else { return nil }
        let bounds = header.dropFirst("bytes=".count).split(separator: "-", omittingEmptySubsequences: false)
        guard bounds.count == 2 else { return nil }
        let unsatisfiable = ControlError(.badRange, "the range '\(header)' is outside of the \(size) bytes")
        if bounds[0].isEmpty {
            guard let count = UInt64(bounds[1]) else { return nil }
            guard count > 0, size > 0 else { throw unsatisfiable }
            return (size - min(count, size))..<size
        }
        guard let first = UInt64(bounds[0]) else { return nil }
        var end = size
        if !bounds[1].isEmpty {
            guard let last = UInt64(bounds[1]), last >= first else { return nil }
            end = last < size ? last + 1 : size
        }
        guard first < size else { throw unsatisfiable }
        return first..<end
    }
}
