// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Objects

// What a file's extended attributes tell: which bytes it is and where they are. They can be read and not changed, and
// they are not listed, so that no copy of a file carries them elsewhere.

/// The attributes that the mount itself has.
private enum OwnAttribute: String {
    /// The object's digest, in hexadecimal.
    case digest = "user.larder.digest"
    /// `writing`, `settling`, or where the bytes are: `local`, `partial`, `remote`.
    case state = "user.larder.state"
    /// The agents that hold the object whole, this one first.
    case source = "user.larder.source"
}

extension Tree {
    func getExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply) {
        guard let attribute = OwnAttribute(rawValue: name) else { return reply.error(absence(of: name)) }
        do {
            guard let text = try value(of: attribute, inode) else { return reply.error(.noAttribute) }
            reply.attributeValue(Array(text.utf8))
        } catch {
            reply.error(.from(error))
        }
    }

    private func value(_ attribute: OwnAttribute, of file: StagedFile) -> String? {
        guard attribute == .state else { return nil }
        return file.isReleasing ? "settling" : "writing"
    }

    private func value(of attribute: OwnAttribute, _ inode: UInt64) throws -> String? {
        let version: PublishedVersion
        switch nodes.node(inode) {
        case nil: throw Errno.stale
        case .directory, .special: return nil
        case .published(let known): version = known
        case .staged(let file):
            guard let entry = file.published else { return value(attribute, of: file) }
            version = PublishedVersion(entry)
        }
        guard version.target == nil else { return nil }
        switch attribute {
        case .digest:
            if let manifest = version.entry.manifest { return manifest.hex }
            guard let entry = try cache.lookup(version.key), entry.version == version.version else { throw Errno.stale }
            return cache.digest(of: entry)?.hex
        case .state: return try cache.whereabouts(of: version.entry).place.rawValue
        case .source: return try cache.whereabouts(of: version.entry).holders.joined(separator: ",")
        }
    }

    /// Access control lists and the like are not kept; any other attribute is one that the file does not have.
    private func absence(of name: String) -> Errno { name.hasPrefix("system.") ? .notSupported : .noAttribute }

    func listExtendedAttributes(_ request: Request, inode: UInt64, reply: consuming Reply) {
        guard nodes.node(inode) != nil else { return reply.error(.stale) }
        reply.attributeValue([])
    }

    func setExtendedAttribute(
        _ request: Request,
        inode: UInt64,
        name: String,
        value: [UInt8],
        flags: Int32,
        reply: consuming Reply
    ) {
        reply.error(refusal(of: name))
    }

    func removeExtendedAttribute(_ request: Request, inode: UInt64, name: String, reply: consuming Reply) {
        let own = OwnAttribute(rawValue: name) != nil
        reply.error(isReadOnly || own ? refusal(of: name) : absence(of: name))
    }

    /// `cp -a` and `tar --xattrs` go on after ENOTSUP; the mount's own attributes are nobody's to set.
    private func refusal(of name: String) -> Errno {
        if isReadOnly { return .readOnly }
        return OwnAttribute(rawValue: name) == nil ? .notSupported : .notPermitted
    }
}
