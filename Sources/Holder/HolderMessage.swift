// SPDX-License-Identifier: Apache-2.0

/// What agents and holders tell each other: one packet of lines, the first of which is the verb.
///
/// An agent has one connection for each volume. That connection is what says that the agent has the volume: its end is
/// the agent's end.
public struct HolderMessage: Hashable, Sendable {
    public enum Verb: String, Sendable {
        /// Agent: give me the volume (name, path, `replace` or `wait`, the layout of shared memory that it reads).
        case take
        /// Agent, after `unknown`: the path is ready, mount there (name, path, bytes of shared memory).
        case mount
        /// Agent: requests of the volume are being answered (name).
        case serving
        /// Agent: the mount is gone, forget it (name).
        case drop
        /// Agent, to a holder that is new: this is what I serve (name, path, epoch; both descriptors).
        case deposit
        /// Holder, to the one before it: give me everything.
        case inherit
        /// Holder: the volume is yours (name, epoch; both descriptors).
        case granted
        /// Holder: nothing is mounted for this volume (name).
        case unknown
        /// Holder: no (name, reason).
        case refused
        /// Holder: another agent waits for this volume; finish and leave.
        case drain
        /// Holder, to its successor: one volume (name, path; both descriptors).
        case volume
        /// Holder, to its successor: that was all of them.
        case end
    }

    /// The most bytes of a message: two paths of the system's greatest length and some words.
    public static let byteCountMax = 16_384

    public let verb: Verb
    public let fields: [String]

    public init(_ verb: Verb, _ fields: String...) {
        self.verb = verb
        self.fields = fields
    }

    /// Nil for what is no message.
    public init?(_ bytes: some Sequence<UInt8>) {
        guard let text = String(validating: Array(bytes), as: UTF8.self) else { return nil }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let first = lines.first, let verb = Verb(rawValue: first) else { return nil }
        self.verb = verb
        fields = Array(lines.dropFirst())
    }

    public var bytes: [UInt8] { Array(([verb.rawValue] + fields).joined(separator: "\n").utf8) }

    /// A field, or an empty text.
    public subscript(index: Int) -> String { index < fields.count ? fields[index] : "" }
}
