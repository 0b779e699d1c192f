// SPDX-License-Identifier: Apache-2.0

import Content

/// Where a symbolic link leads, in terms of keys.
enum LinkTarget {
    /// The most links on the way to an object: more is a loop, as for the kernel (which allows 40).
    static let linkCountMax = 8

    /// The key that a relative target names, seen from the link's own directory.
    ///
    /// - Returns: nil where the target is absolute or leaves the namespace: only a file system knows what is there.
    static func resolve(_ target: String, from link: Key) -> Key? {
        guard !target.hasPrefix("/") else { return nil }
        var components = link.parent.split(separator: "/")
        for component in target.split(separator: "/") {
            switch component {
            case ".": continue
            case "..":
                guard components.count > 1 else { return nil }
                components.removeLast()
            default: components.append(component)
            }
        }
        return try? Key(components.joined(separator: "/"))
    }
}
