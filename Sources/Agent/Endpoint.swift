// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A host and a port: `10.0.0.2:7420`, `[fd00::2]:7420`, `larder-peers.larder.svc:7420`.
public struct Endpoint: Hashable, Sendable {
    /// An address without brackets, or a DNS name.
    public let host: String
    public let port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// An endpoint from its text.
    ///
    /// - Throws: ``AgentError`` `value`: the port is missing, or the host is neither an address nor a name.
    public init(parsing text: some StringProtocol) throws(AgentError) {
        let form = "an address is HOST:PORT, such as 10.0.0.2:7420 or [fd00::2]:7420"
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw AgentError(.value, "'\(text)' is not an address: \(form)")
        }
        var host = String(text[..<colon])
        let bracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if bracketed { host = String(host.dropFirst().dropLast()) }
        guard bracketed ? Endpoint.isAddress(host, colons: true) : Endpoint.isHost(host) else {
            throw AgentError(.value, "'\(text)' is not an address: \(form)")
        }
        self.init(host: host, port: port)
    }

    /// Whether only this host's processes can reach it.
    public var isLoopback: Bool {
        host == "localhost" || host == "::1" || (host.hasPrefix("127.") && Endpoint.isAddress(host, colons: false))
    }

    private static func isAddress(_ host: String, colons: Bool) -> Bool {
        host.contains(":") == colons && (try? SocketAddress(ipAddress: host, port: 0)) != nil
    }

    private static func isHost(_ host: String) -> Bool {
        let onlyDigits = host.allSatisfy { $0 == "." || ($0.isASCII && $0.isNumber) }
        if onlyDigits { return isAddress(host, colons: false) }
        return host.utf8.count <= 253
            && host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                !label.isEmpty && label.utf8.count <= 63 && !label.hasPrefix("-") && !label.hasSuffix("-")
                    && label.utf8.allSatisfy(isNameByte)
            }
    }
}

/// Letters, digits, `-` and `_`: what DNS labels and the names of nodes and sites are made of.
func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
        true
    default: false
    }
}

extension Endpoint: CustomStringConvertible {
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
