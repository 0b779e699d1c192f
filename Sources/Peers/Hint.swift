// SPDX-License-Identifier: Apache-2.0

public import Content

/// "These keys will be read soon", told to another site.
///
/// Format: `u8` 1, target site, `u8` priority, `u8` 0 or 1 and `u64` deadline, `u8` hops, count of keys, keys.
public struct Hint: Hashable, Sendable {
    /// The most keys of one hint.
    public static let keyCountMax = 10_000
    /// The most agents that hand a hint on: to the own gateway, over the link, and one to spare.
    static let hopsMax: UInt8 = 3

    public let keys: [Key]
    public let priority: Priority
    /// When they will be read, milliseconds since 1970.
    public let deadline: UInt64?

    public init(keys: [Key], priority: Priority, deadline: UInt64? = nil) {
        self.keys = keys
        self.priority = priority
        self.deadline = deadline
    }

    func encoded(site: String, hops: UInt8) -> [UInt8] {
        var out = ByteWriter(reserving: 64 + keys.count * 64)
        out.fixed(UInt8(1))
        out.text(site)
        out.fixed(priority.rawValue)
        out.fixed(UInt8(deadline == nil ? 0 : 1))
        out.fixed(deadline ?? 0)
        out.fixed(hops)
        out.count(keys.count)
        for key in keys { out.text(key.text) }
        return out.bytes
    }

    static func decode(_ bytes: [UInt8]) throws(ContentError) -> (hint: Hint, site: String, hops: UInt8) {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown hint format") }
        let site = try reader.text(max: Identity.siteByteCountMax)
        guard let priority = Priority(rawValue: try reader.fixed()) else {
            throw ContentError(.malformed, "a hint has no known priority")
        }
        let hasDeadline = try reader.fixed(UInt8.self) == 1
        let deadline = try reader.fixed(UInt64.self)
        let hops = try reader.fixed(UInt8.self)
        let count = try reader.count(max: Hint.keyCountMax)
        var keys: [Key] = []
        for _ in 0..<count { keys.append(try Key(try reader.text(max: Key.byteCountMax))) }
        try reader.end()
        return (Hint(keys: keys, priority: priority, deadline: hasDeadline ? deadline : nil), site, hops)
    }
}

/// What a site answers to a hint, per key.
public struct HintAnswer: Hashable, Sendable {
    public let site: String
    public let key: Key
    /// Bytes of the object; nil where the key does not exist there yet and is waited for.
    public let size: UInt64?
    /// Bytes that the site lacks.
    public let missing: UInt64
    /// Seconds until they are there, where that can be told.
    public let seconds: UInt32?

    public init(site: String, key: Key, size: UInt64?, missing: UInt64, seconds: UInt32?) {
        self.site = site
        self.key = key
        self.size = size
        self.missing = missing
        self.seconds = seconds
    }

    /// Format: `u8` 1, count, then for each: site, key, `u8` flags (1: size, 2: seconds), size, missing, seconds.
    static func encode(_ answers: [HintAnswer]) -> [UInt8] {
        var out = ByteWriter(reserving: 16 + answers.count * 96)
        out.fixed(UInt8(1))
        out.count(answers.count)
        for answer in answers {
            out.text(answer.site)
            out.text(answer.key.text)
            out.fixed(UInt8((answer.size == nil ? 0 : 1) | (answer.seconds == nil ? 0 : 2)))
            out.count(answer.size ?? 0)
            out.count(answer.missing)
            out.fixed(answer.seconds ?? 0)
        }
        return out.bytes
    }

    static func decode(_ bytes: [UInt8]) throws(ContentError) -> [HintAnswer] {
        var reader = ByteReader(bytes)
        guard try reader.fixed(UInt8.self) == 1 else { throw ContentError(.unsupported, "unknown answer format") }
        let count = try reader.count(max: Hint.keyCountMax)
        var answers: [HintAnswer] = []
        for _ in 0..<count {
            let site = try reader.text(max: Identity.siteByteCountMax)
            let key = try Key(try reader.text(max: Key.byteCountMax))
            let flags = try reader.fixed(UInt8.self)
            let size = try reader.count()
            let missing = try reader.count()
            let seconds = try reader.fixed(UInt32.self)
            answers.append(
                HintAnswer(
                    site: site,
                    key: key,
                    size: flags & 1 == 0 ? nil : size,
                    missing: missing,
                    seconds: flags & 2 == 0 ? nil : seconds
                )
            )
        }
        try reader.end()
        return answers
    }
}
