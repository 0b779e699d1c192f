// SPDX-License-Identifier: Apache-2.0

/// The text of a directory or a key, compared byte by byte as the kernel does: two spellings of one character are two
/// names, which Swift's strings take for one.
struct PathText: Hashable, Sendable {
    let string: String

    init(_ string: some StringProtocol) { self.string = String(string) }

    static func == (a: PathText, b: PathText) -> Bool { a.string.utf8.elementsEqual(b.string.utf8) }

    func hash(into hasher: inout Hasher) {
        var string = string
        string.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// It is the directory itself or lies anywhere below it.
    func isWithin(_ directory: String) -> Bool {
        guard string.utf8.starts(with: directory.utf8) else { return false }
        let rest = string.utf8.dropFirst(directory.utf8.count)
        return rest.isEmpty || rest.first == UInt8(ascii: "/")
    }

    /// It lies anywhere below the directory.
    func isBelow(_ directory: String) -> Bool {
        isWithin(directory) && string.utf8.count > directory.utf8.count
    }

    /// The same text with one directory above it, or itself, exchanged for another.
    func moved(from: String, to: String) -> String {
        to + String(string[string.utf8.index(string.startIndex, offsetBy: from.utf8.count)...])
    }
}
