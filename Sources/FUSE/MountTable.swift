// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

/// What is mounted where, in this process's mount namespace.
public enum MountTable {
    /// One mount.
    public struct Entry: Sendable, Hashable {
        /// What was mounted: a device or a name.
        public let source: String
        /// `fuse.larder`, `ext4`, …
        public let fsType: String
        /// `<major>:<minor>` of its files.
        public let device: String
    }

    /// The mounts at exactly this absolute, canonical path, the one that is seen last.
    public static func entries(at path: String) -> [Entry] {
        guard let table = contents(of: "/proc/self/mountinfo") else { return [] }
        return entries(at: path, in: table)
    }

    /// The same from the text of a mountinfo file.
    public static func entries(at path: String, in table: String) -> [Entry] {
        table.split(separator: "\n").compactMap { line in
            // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            guard let dash = fields.indices.dropFirst(6).first(where: { fields[$0] == "-" }),
                fields.count > dash + 2, unescaped(fields[4]) == path
            else { return nil }
            return Entry(
                source: unescaped(fields[dash + 2]),
                fsType: unescaped(fields[dash + 1]),
                device: String(fields[2])
            )
        }
    }

    /// Whether a mount whose server is gone is at the path. Blocks for as long as a server that lives does not answer.
    public static func isStale(_ path: String) -> Bool {
        // Not stat(2): the kernel may answer that from attributes that it has cached.
        var status = statvfs()
        return statvfs(path, &status) != 0 && errno == ENOTCONN
    }

    /// Takes the mount at the path out of the namespace; files that are open in it stay open until they are closed.
    /// - Throws: `.unmount`.
    public static func detach(_ path: String) throws(FUSEError) {
        if umount2(path, Int32(MNT_DETACH) | Int32(UMOUNT_NOFOLLOW)) == 0 { return }
        let cause = Errno(rawValue: errno)
        throw FUSEError(.unmount, "\(path) could not be unmounted: unmount it by hand with umount -l", cause: cause)
    }

    /// Octal escapes of space, tab, newline and backslash.
    private static func unescaped(_ field: Substring) -> String {
        guard field.utf8.contains(UInt8(ascii: "\\")) else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            guard byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ (48...55).contains($0) }) else {
                bytes.append(byte)
                continue
            }
            bytes.append(digits.reduce(0) { $0 &* 8 &+ ($1 - 48) })
            rest = rest.dropFirst(3)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func contents(of path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        // The kernel hands out whole lines, at most a page at a time.
        let chunk = 1 << 16
        while true {
            let count = withUnsafeTemporaryAllocation(byteCount: chunk, alignment: 1) { buffer in
                let count = Glibc.read(file, buffer.baseAddress, buffer.count)
                if count > 0 { bytes.append(contentsOf: buffer[..<count]) }
                return count
            }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
