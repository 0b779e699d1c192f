// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What is behind a path or a descriptor, as far as `put` and `get` have to know.
struct FileFacts {
    enum Kind { case file, directory, other }

    let kind: Kind
    /// Bytes, where it is a file.
    let size: UInt64
    /// Permission bits.
    let mode: UInt16

    /// Nil where nothing is there that has a path; links are followed.
    init?(path: String) {
        let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: resolved) else { return nil }
        switch attributes[.type] as? FileAttributeType {
        case .typeRegular: kind = .file
        case .typeDirectory: kind = .directory
        default: kind = .other
        }
        size = (attributes[.size] as? NSNumber)?.uint64Value ?? 0
        mode = (attributes[.posixPermissions] as? NSNumber)?.uint16Value ?? 0o644
    }

    /// Nil for pipes, sockets and files without a name.
    init?(descriptor: CInt) {
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)"),
            path.hasPrefix("/")
        else { return nil }
        self.init(path: path)
    }
}
