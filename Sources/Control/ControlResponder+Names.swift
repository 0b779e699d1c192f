// SPDX-License-Identifier: Apache-2.0

import Content
import Objects

extension ControlResponder {
    /// A page of what lies under a prefix.
    ///
    /// `ci/app/` and `ci/app`, where that is a directory, list it; `ci/app/v1` lists what in `ci/app` begins with `v1`,
    /// so that the key of an object lists the object.
    /// Without a prefix: what the socket serves.
    func entries(_ query: Query) throws -> EntriesMessage {
        let limit = try query.number("limit", in: 1...ControlLimits.pageEntryCount) ?? ControlLimits.pageEntryCount
        let after = query.text("after").flatMap { $0.isEmpty ? nil : $0 }
        let isRecursive = try query.flag("recursive")
        let prefix = query.text("prefix") ?? ""
        guard let (directory, partialName) = try place(of: prefix) else { return namespaces(after: after) }
        if isRecursive { return try recursive(prefix, directory, partialName, after: after, limit) }
        let children = try cache.children(of: directory, after: after ?? lowerBound(partialName), limit: limit + 1)
        let named = children.drop { $0.name.utf8.lexicographicallyPrecedes(partialName.utf8) }
            .prefix { $0.name.utf8.starts(with: partialName.utf8) }
        let page = named.prefix(limit)
        let messages = page.map { child in
            child.entry.map { EntryMessage($0) } ?? EntryMessage(impliedDirectory: "\(directory)/\(child.name)")
        }
        return EntriesMessage(entries: messages, next: named.count > limit ? page.last?.name : nil)
    }

    private func recursive(
        _ prefix: String,
        _ directory: String,
        _ partialName: String,
        after: String?,
        _ limit: Int
    ) throws -> EntriesMessage {
        let key = try after.map { (text) throws(ContentError) in try Key(text) }
        let found = try cache.list(prefix: "\(directory)/\(partialName)", after: key, limit: limit + 1)
        let page = found.prefix(limit)
        return EntriesMessage(
            entries: page.map { EntryMessage($0) },
            next: found.count > limit ? page.last?.key.text : nil
        )
    }

    /// The directory to list and the beginning of the names that are meant; nil for the list of namespaces.
    private func place(of prefix: String) throws -> (directory: String, partialName: String)? {
        guard !prefix.isEmpty else { return scope.namespace.map { ($0, "") } }
        let trimmed = prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix
        let namespace = String(trimmed.prefix { $0 != "/" })
        do throws(ContentError) {
            try Key.check(namespace: namespace)
            if trimmed != namespace { _ = try Key(trimmed) }
        } catch {
            throw ControlError(error)
        }
        try scope.checkReading(namespace)
        if try prefix.hasSuffix("/") || trimmed == namespace || cache.isDirectory(trimmed) { return (trimmed, "") }
        guard let slash = trimmed.lastIndex(of: "/") else { return (trimmed, "") }
        return (String(trimmed[..<slash]), String(trimmed[trimmed.index(after: slash)...]))
    }

    /// A name below all that begin so, and above nearly all that do not: names go on after it.
    private func lowerBound(_ partialName: String) -> String? {
        guard let last = partialName.unicodeScalars.last, last.value > 1,
            let before = UnicodeScalar(last.value - 1)
        else { return nil }
        var scalars = partialName.unicodeScalars
        scalars.removeLast()
        scalars.append(before)
        return String(scalars) + "\u{10FFFF}"
    }

    private func namespaces(after: String?) -> EntriesMessage {
        let names = facts.namespaces.sorted().filter { $0 > after ?? "" }
        return EntriesMessage(entries: names.map { EntryMessage(impliedDirectory: $0) }, next: nil)
    }
}
