// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOPosix

/// Names to addresses, by the system's resolver.
enum Resolver {
    /// All addresses of a name; a thread waits for them, not the caller's.
    ///
    /// - Throws: ``PeersError`` `unavailable` where the name does not resolve.
    static func resolve(_ name: PeerAddress) async throws -> [PeerAddress] {
        try await NIOThreadPool.singleton.runIfActive { try lookUp(name) }
    }

    private static func lookUp(_ name: PeerAddress) throws -> [PeerAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(name.host, nil, &hints, &list)
        guard status == 0 else {
            throw PeersError(.unavailable, "\(name.host) does not resolve: \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(list) }
        var out: [PeerAddress] = []
        var next = list
        while let info = next?.pointee {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let size = socklen_t(text.count)
            if getnameinfo(info.ai_addr, info.ai_addrlen, &text, size, nil, 0, NI_NUMERICHOST) == 0 {
                let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                out.append(PeerAddress(host: String(decoding: bytes, as: UTF8.self), port: name.port))
            }
            next = info.ai_next
        }
        return out
    }
}
