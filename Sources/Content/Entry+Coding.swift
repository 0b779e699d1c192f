// SPDX-License-Identifier: Apache-2.0

// Format of an entry: `u8` 1, key, version (u64 time, two u64 of the agent), u16 mode, i64 modified, u8 flags (bit 0:
// torn), u8 kind, then by kind: nothing, nothing, target, bytes, or 32-byte digest and size. The catalog keeps these
// bytes and the wire carries them, so an agent one version older must be able to skip what it does not know: it
// refuses kinds above its own with `unsupported` and asks again after its upgrade.

extension Entry {
    public func encode(into out: inout ByteWriter) {
        out.fixed(UInt8(1))
        out.text(key.text)
        version.encode(into: &out)
        out.fixed(metadata.mode)
        out.fixed(metadata.modified)
        out.fixed(UInt8(metadata.torn ? 1 : 0))
        switch body {
        case .tombstone: out.fixed(UInt8(0))
        case .directory: out.fixed(UInt8(1))
        case .symlink(let target):
            out.fixed(UInt8(2))
            out.text(target)
        case .inline(let bytes):
            out.fixed(UInt8(3))
            out.blob(bytes)
        case .object(let manifest, let size):
            out.fixed(UInt8(4))
            out.digest(manifest)
            out.count(size)
        }
    }

    public func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: 128)
        encode(into: &out)
        return out.bytes
    }

    /// - Throws: ``ContentError`` of any code but `clockDrift`.
    public init(decoding reader: inout ByteReader) throws(ContentError) {
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown entry format") }
        let key = try Key(try reader.text(max: Key.byteCountMax))
        let version = try Version(decoding: &reader)
        let mode = try reader.fixed(UInt16.self)
        let modified = try reader.fixed(Int64.self)
        let flags = try reader.fixed(UInt8.self)
        let body: Body
        switch try reader.fixed(UInt8.self) {
        case 0: body = .tombstone
        case 1: body = .directory
        case 2: body = .symlink(target: try reader.text(max: Entry.targetByteCountMax))
        case 3: body = .inline(Array(try reader.blob(max: Entry.inlineByteCountMax)))
        case 4: body = .object(manifest: try reader.digest(), size: try reader.count(max: Manifest.sizeMax))
        case let kind: throw ContentError(.unsupported, "unknown kind \(kind) of entry")
        }
        self.init(
            key: key,
            version: version,
            body: body,
            metadata: Metadata(mode: mode, modified: modified, torn: flags & 1 != 0)
        )
    }

    public init(decoding bytes: [UInt8]) throws(ContentError) {
        var reader = ByteReader(bytes)
        try self.init(decoding: &reader)
        try reader.end()
    }
}

extension AgentID {
    public func encode(into out: inout ByteWriter) {
        out.fixed(high)
        out.fixed(low)
    }

    public init(decoding reader: inout ByteReader) throws(ContentError) {
        self.init(high: try reader.fixed(), low: try reader.fixed())
    }
}

extension Version {
    public func encode(into out: inout ByteWriter) {
        out.fixed(time.rawValue)
        agent.encode(into: &out)
    }

    public init(decoding reader: inout ByteReader) throws(ContentError) {
        self.init(time: HybridTime(rawValue: try reader.fixed()), agent: try AgentID(decoding: &reader))
    }
}

extension Publication {
    public func encode(into out: inout ByteWriter) {
        agent.encode(into: &out)
        out.count(number)
        switch change {
        case .entry(let entry):
            out.fixed(UInt8(0))
            entry.encode(into: &out)
        case .holding(let manifest, let held):
            out.fixed(UInt8(held ? 1 : 2))
            out.digest(manifest)
        }
    }

    public init(decoding reader: inout ByteReader) throws(ContentError) {
        let agent = try AgentID(decoding: &reader)
        let number = try reader.count()
        let change: Change
        switch try reader.fixed(UInt8.self) {
        case 0: change = .entry(try Entry(decoding: &reader))
        case 1: change = .holding(manifest: try reader.digest(), held: true)
        case 2: change = .holding(manifest: try reader.digest(), held: false)
        case let kind: throw ContentError(.unsupported, "unknown kind \(kind) of publication")
        }
        self.init(agent: agent, number: number, change: change)
    }
}
