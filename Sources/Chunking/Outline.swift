// SPDX-License-Identifier: Apache-2.0

/// Which member of a container is where in an object: the members of a tar, of the tars inside it, or of a zip, by a
/// hash of their innermost path. What a rebuilt image changed lies under the path under which the old one has it.
///
/// Computed by the sender when a link asks and kept in memory only, as ``ChunkSketch`` is.
public struct Outline: Sendable {
    /// The most members; those after them have no outline. 9 MiB of memory at the most.
    public static let memberCountMax = 1 << 18
    /// Tars within tars that are followed: an image's layers are one deep.
    static let depthMax = 4

    /// A member with its header, or headers.
    public struct Member: Hashable, Sendable {
        /// Of the path without leading `./` and trailing `/`.
        public let pathHash: UInt64
        /// Where the member's first header begins.
        public let header: UInt64
        /// Where its body begins.
        public let body: UInt64
        /// Where its body ends.
        public let end: UInt64

        public init(pathHash: UInt64, header: UInt64, body: UInt64, end: UInt64) {
            self.pathHash = pathHash
            self.header = header
            self.body = body
            self.end = end
        }
    }

    /// In the order of the object; none contains another.
    public let members: [Member]
    /// Indexes of ``members`` in the order of path hashes.
    private let byPath: [UInt32]

    /// - Parameter members: in any order.
    public init(members: [Member]) {
        let members = members.sorted { ($0.header, $0.body) < ($1.header, $1.body) }
        self.members = members
        byPath = (0..<UInt32(members.count)).sorted {
            (members[Int($0)].pathHash, $0) < (members[Int($1)].pathHash, $1)
        }
    }

    /// The most members of a path that are looked at: one that is everywhere says nothing.
    private static let samePathMax = 16

    /// The members of a path, in the order of the object: several where layers replace a file.
    public func members(of pathHash: UInt64) -> [Member] {
        var low = 0
        var high = byPath.count
        while low < high {
            let middle = (low + high) / 2
            if members[Int(byPath[middle])].pathHash < pathHash { low = middle + 1 } else { high = middle }
        }
        return byPath[low...].prefix(Outline.samePathMax).map { members[Int($0)] }.filter { $0.pathHash == pathHash }
    }

    /// The members that have bytes in a range of the object.
    public func members(covering range: Range<UInt64>) -> ArraySlice<Member> { members.covering(range) }

    /// FNV-1a of a path's bytes, without what archivers write differently around the same name.
    public static func pathHash(_ path: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        var bytes = Array(path)[...]
        while bytes.starts(with: "./".utf8) { bytes = bytes.dropFirst(2) }
        while bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}

extension [Outline.Member] {
    /// Those that have bytes in a range of the object; in the order of the object, none containing another.
    func covering(_ range: Range<UInt64>) -> ArraySlice<Outline.Member> {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].header <= range.lowerBound { low = middle + 1 } else { high = middle }
        }
        let first = low > 0 && self[low - 1].end > range.lowerBound ? low - 1 : low
        var last = Swift.max(first, low)
        while last < count, self[last].header < range.upperBound { last += 1 }
        return self[first..<last]
    }
}
