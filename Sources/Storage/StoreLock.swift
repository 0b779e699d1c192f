// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The lock of a store's directory: one process at a time. The kernel gives it back when the process dies.
struct StoreLock: Sendable {
    private let file: Descriptor

    /// - Throws: ``StorageError`` `locked`, with who holds it.
    init(directory: Folder) throws(StorageError) {
        file = try directory.open("lock", O_RDWR | O_CREAT)
        guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else {
            guard errno == EWOULDBLOCK else { throw .system(errno, "lock", file.path) }
            let holder = try directory.contents("lock")?.split(separator: "\n").first.map(String.init) ?? "unknown"
            throw StorageError(
                .locked,
                "the store \(directory.path) is in use by \(holder): "
                    + "stop that agent, or give this one another store.path"
            )
        }
        let text = "process \(getpid()) on \(StoreLock.hostName)\n"
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: text.utf8)
        try file.truncate(to: 0)
        try file.write(UnsafeRawBufferPointer(bytes), at: 0)
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
