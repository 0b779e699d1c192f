// SPDX-License-Identifier: Apache-2.0

/// `namespace/path…`: the name that people use for an object.
///
/// A key is also a path below a mount, so it obeys both worlds: UTF-8, components joined by single slashes, none of
/// them empty, `.` or `..`, no NUL. Every door refuses a bad key with the same words because they all come from here.
public struct Key: Hashable, Sendable {
    /// The most bytes of a whole key (DESIGN §12).
    public static let byteCountMax = 1024
    /// The most bytes of one component: Linux's NAME_MAX.
    public static let componentByteCountMax = 255

    /// The whole text, `namespace/path…`.
    public let text: String
    private let slash: Int
    private let lastSlash: Int

    /// A key from its text.
    ///
    /// - Throws: ``ContentError`` `invalidKey` or `keyTooLong`, with the rule that it breaks.
    public init(_ text: some StringProtocol) throws(ContentError) {
        let text = String(text)
        let bytes = Array(text.utf8)
        guard bytes.count <= Key.byteCountMax else {
            throw ContentError(
                .keyTooLong,
                "the key has \(bytes.count) bytes and may have \(Key.byteCountMax): \(Key.excerpt(text))"
            )
        }
        guard !bytes.contains(0) else {
            throw ContentError(.invalidKey, "the key holds a NUL byte: \(Key.excerpt(text))")
        }
        var first: Int?
        var last = 0
        var start = 0
        for at in 0...bytes.count where at == bytes.count || bytes[at] == UInt8(ascii: "/") {
            try Key.check(component: bytes[start..<at], of: text)
            if at < bytes.count {
                if first == nil { first = at }
                last = at
            }
            start = at + 1
        }
        guard let first else {
            throw ContentError(
                .invalidKey,
                "a key is NAMESPACE/PATH and this one has no path: \(Key.excerpt(text))"
            )
        }
        self.text = text
        self.slash = first
        self.lastSlash = last
    }

    /// A key from a directory's text (`namespace` or `namespace/dir…`) and the name of one thing in it.
    public init(parent: String, name: String) throws(ContentError) {
        guard !name.utf8.contains(UInt8(ascii: "/")) else {
            throw ContentError(.invalidKey, "a name holds a slash: \(Key.excerpt(name))")
        }
        try self.init(parent + "/" + name)
    }

    /// The trust domain: the part before the first slash.
    public var namespace: Substring { text.prefix(upTo: text.utf8.index(text.startIndex, offsetBy: slash)) }
    /// The part after the namespace.
    public var path: Substring { text[text.utf8.index(text.startIndex, offsetBy: slash + 1)...] }
    /// The text before the last slash: the namespace, or `namespace/dir…`.
    public var parent: Substring { text.prefix(upTo: text.utf8.index(text.startIndex, offsetBy: lastSlash)) }
    /// The last component.
    public var name: Substring { text[text.utf8.index(text.startIndex, offsetBy: lastSlash + 1)...] }

    /// Checks a namespace's name: one component of a key, at most 63 bytes of letters, digits, `.`, `_` and `-`.
    ///
    /// Narrower than a component because it is also a bucket, a directory of the host and a label of a metric.
    public static func check(namespace: String) throws(ContentError) {
        let allowed = namespace.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard allowed, !namespace.isEmpty, namespace.utf8.count <= 63, namespace.utf8.first != UInt8(ascii: ".") else {
            throw ContentError(
                .invalidKey,
                "a namespace has 1 to 63 letters, digits, '.', '_' or '-' and no leading dot: \(excerpt(namespace))"
            )
        }
    }

    private static func check(component: ArraySlice<UInt8>, of text: String) throws(ContentError) {
        switch component {
        case []:
            throw ContentError(.invalidKey, "the key has an empty component: \(excerpt(text))")
        case [UInt8(ascii: ".")], [UInt8(ascii: "."), UInt8(ascii: ".")]:
            throw ContentError(.invalidKey, "the key has a '.' or '..' component: \(excerpt(text))")
        default:
            guard component.count <= componentByteCountMax else {
                throw ContentError(
                    .keyTooLong,
                    "a component of the key has \(component.count) bytes and may have \(componentByteCountMax): "
                        + excerpt(text)
                )
            }
        }
    }

    /// A text that can stand in a message: cut at 80 characters, control characters replaced.
    private static func excerpt(_ text: String) -> String {
        let shown = text.unicodeScalars.prefix(80).map { $0.value < 32 ? "?" : String($0) }.joined()
        return "'\(shown)\(text.unicodeScalars.count > 80 ? "…" : "")'"
    }
}

// By bytes, as SQLite and file systems compare: two spellings of one letter (NFC and NFD) are two names, and a String
// would take them for one.
extension Key: Comparable, CustomStringConvertible {
    public static func == (a: Key, b: Key) -> Bool { a.text.hasSameBytes(as: b.text) }

    public func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    public static func < (a: Key, b: Key) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }
    public var description: String { text }

    /// This key, which is `from` or lies below it, where `from` is renamed to `to`.
    ///
    /// - Throws: ``ContentError`` `keyTooLong`.
    public func moved(from: Key, to: Key) throws(ContentError) -> Key {
        let rest = text.utf8.dropFirst(from.text.utf8.count)
        return try Key(to.text + String(Substring(rest)))
    }

    /// Whether the key lies below a directory's text (`namespace`, `namespace/dir…`).
    public func isBelow(_ directory: some StringProtocol) -> Bool {
        let count = directory.utf8.count
        guard text.utf8.count > count, text.utf8.starts(with: directory.utf8) else { return false }
        return text.utf8[text.utf8.index(text.startIndex, offsetBy: count)] == UInt8(ascii: "/")
    }
}

extension StringProtocol {
    /// Whether two texts are the same bytes; `==` also says so of texts that only look the same.
    public func hasSameBytes(as other: some StringProtocol) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
