// SPDX-License-Identifier: Apache-2.0

/// In which namespaces an agent may read, and in which it may publish too (P10).
public struct Rights: Hashable, Sendable {
    /// What may be done in a namespace; publishing includes reading.
    public enum Access: String, Hashable, Sendable, Comparable, CaseIterable {
        case read = "ro"
        case publish = "rw"

        public static func < (a: Access, b: Access) -> Bool { a == .read && b == .publish }
    }

    /// The name that stands for every namespace.
    public static let everyNamespace = "*"
    /// The most namespaces that a certificate may name; more do not fit its size on the wire either.
    public static let namespaceCountMax = 1024
    /// Everything everywhere: what those have who speak plaintext.
    public static let all = Rights([everyNamespace: .publish])

    /// By namespace.
    public let access: [String: Access]

    public init(_ access: [String: Access]) { self.access = access }

    public func mayRead(_ namespace: String) -> Bool { access(to: namespace) != nil }
    public func mayPublish(_ namespace: String) -> Bool { access(to: namespace) == .publish }
    public var mayReadEverything: Bool { access[Rights.everyNamespace] != nil }

    /// Whether everything that `other` may read may be published in with these rights.
    public func publishesAll(of other: Rights) -> Bool {
        mayPublish(Rights.everyNamespace)
            || other.access.keys.allSatisfy { $0 != Rights.everyNamespace && mayPublish($0) }
    }

    /// A number for what may be read: 0 for everything, and hardly ever the same for different namespaces.
    var readableNumber: UInt64 {
        guard !mayReadEverything else { return 0 }
        // FNV-1a: the same at every start, which Swift's own hashes are not.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for namespace in access.keys.sorted() {
            for byte in Array(namespace.utf8) + [0] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        return hash | 1
    }

    private func access(to namespace: String) -> Access? {
        [access[namespace], access[Rights.everyNamespace]].compactMap { $0 }.max()
    }

    /// Whether everything that `other` may read may be read with these rights.
    public func readsAll(of other: Rights) -> Bool {
        mayReadEverything || other.access.keys.allSatisfy { $0 != Rights.everyNamespace && mayRead($0) }
    }
}

extension Rights: CustomStringConvertible {
    /// `ci rw, release ro`.
    public var description: String {
        guard !access.isEmpty else { return "none" }
        return access.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.rawValue)" }.joined(separator: ", ")
    }
}
