// SPDX-License-Identifier: Apache-2.0

import Content

/// What a control socket may be used for: who can connect to it has exactly these rights (P10).
public struct Scope: Hashable, Sendable {
    /// The one namespace that the socket serves; nil: all of them.
    public let namespace: String?
    /// Keys may be written, removed and pinned.
    public let isWritable: Bool

    public init(namespace: String?, isWritable: Bool) {
        self.namespace = namespace
        self.isWritable = isWritable
    }

    /// Everything: the admin socket.
    public static let admin = Scope(namespace: nil, isWritable: true)

    /// - Throws: ``ControlError`` `forbidden` where a key is outside.
    func checkReading(_ namespace: some StringProtocol) throws(ControlError) {
        guard let own = self.namespace, !own.hasSameBytes(as: namespace) else { return }
        throw ControlError(.forbidden, "this socket serves namespace '\(own)' and not '\(namespace)'")
    }

    /// - Throws: ``ControlError`` `forbidden` where a key is outside, `readOnly` where the volume is read-only.
    func checkWriting(_ key: Key) throws(ControlError) {
        try checkReading(key.namespace)
        guard isWritable else {
            throw ControlError(.readOnly, "namespace '\(key.namespace)' is read-only on this volume")
        }
    }
}
