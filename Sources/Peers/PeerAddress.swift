// SPDX-License-Identifier: Apache-2.0

/// Where an agent listens: a host name or IP address, and a port.
public struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
    public let host: String
    public let port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// An address from `host:port` or `[v6]:port`.
    ///
    /// - Throws: ``PeersError`` `invalid`, with the text.
    public init(_ text: String) throws(PeersError) {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")),
            let port = UInt16(text[text.utf8.index(after: colon)...])
        else { throw PeersError(.invalid, "an address is HOST:PORT and this is '\(text)'") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !host.contains("/"), !host.contains(" "), host.utf8.count <= 253 else {
            throw PeersError(.invalid, "an address is HOST:PORT and this has no host: '\(text)'")
        }
        self.init(host: String(host), port: Int(port))
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
