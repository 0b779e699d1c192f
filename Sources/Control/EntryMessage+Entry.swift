// SPDX-License-Identifier: Apache-2.0

import Content

extension EntryMessage {
    /// The wire form of an entry that is no tombstone.
    init(_ entry: Entry) {
        let kind: Kind
        var target: String?
        switch entry.body {
        case .directory: kind = .directory
        case .symlink(let text):
            kind = .symlink
            target = text
        case .tombstone, .inline, .object: kind = .object
        }
        self.init(
            key: entry.key.text,
            kind: kind,
            size: entry.size,
            mode: String(entry.metadata.mode, radix: 8),
            modified: Timestamp(nanoseconds: entry.metadata.modified).description,
            version: "\(entry.version.time.rawValue)@\(entry.version.agent.hex)",
            manifest: entry.manifest?.hex,
            target: target,
            torn: entry.metadata.torn
        )
    }

    /// A directory that only the keys below it imply.
    init(impliedDirectory text: String) {
        self.init(
            key: text,
            kind: .directory,
            size: 0,
            mode: nil,
            modified: nil,
            version: nil,
            manifest: nil,
            target: nil,
            torn: false
        )
    }
}
