// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
public import Peers
import Synchronization

/// Stands before an agent, counts what passes, and may spoil what is answered to requests of one path.
///
/// One request per connection; threads of its own, none of a pool.
public final class TamperingProxy: Sendable {
    public enum Tampering: Sendable {
        case nothing
        /// Says this instead of asking.
        case answers([UInt8])
        /// Changes a byte of the answer's body, another one each time.
        case changesBytes
        /// Ends the answer early, each time elsewhere.
        case breaksOff
    }

    public let address: PeerAddress
    private let listener: Int32
    private let target: PeerAddress
    private let path: String
    private let tampering: Tampering
    private let byteCount = Atomic<Int>(0)
    private let tampered = Atomic<Int>(0)

    /// - Parameter path: of the requests whose answers are spoilt.
    public init(before target: PeerAddress, path: String = "/v1/deltas", _ tampering: Tampering = .nothing) throws {
        self.target = target
        self.path = path
        self.tampering = tampering
        let (descriptor, port) = try TamperingProxy.listen()
        listener = descriptor
        address = PeerAddress(host: "127.0.0.1", port: port)
        Thread.detachNewThread { [weak self] in
            while true {
                let caller = accept(descriptor, nil, nil)
                guard caller >= 0 else { return }
                guard let self else {
                    close(caller)
                    return
                }
                Thread.detachNewThread { self.serve(caller) }
            }
        }
    }

    deinit { stop() }

    /// Ends it: nothing is accepted any more.
    public func stop() { Glibc.shutdown(listener, Int32(SHUT_RDWR)) }

    /// Bytes that passed, both ways.
    public var passed: Int { byteCount.load(ordering: .relaxed) }
    /// Answers that were spoilt.
    public var spoilt: Int { tampered.load(ordering: .relaxed) }

    private static func listen() throws -> (Int32, Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length) | Glibc.listen(descriptor, 64) | getsockname(descriptor, raw, &length)
            }
        }
        guard status == 0 else { throw POSIXError(.EADDRNOTAVAIL) }
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }

    private func serve(_ caller: Int32) {
        defer { close(caller) }
        guard let request = TamperingProxy.request(from: caller) else { return }
        byteCount.add(request.count, ordering: .relaxed)
        let isChosen = request.starts(with: Array("POST \(path) ".utf8))
        if isChosen, case .answers(let body) = tampering {
            tampered.add(1, ordering: .relaxed)
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: \(body.count)\r\n\r\n"
            _ = TamperingProxy.send(Array(head.utf8) + body, to: caller)
            return finish(caller)
        }
        guard let upstream = connect() else { return }
        defer { close(upstream) }
        // The end of the answer is then the end of the connection.
        var forwarded = request
        if let line = forwarded.firstRange(of: Array("\r\n".utf8)) {
            forwarded.insert(contentsOf: Array("connection: close\r\n".utf8), at: line.upperBound)
        }
        guard TamperingProxy.send(forwarded, to: upstream) else { return }
        pass(from: upstream, to: caller, isChosen: isChosen)
        finish(caller)
    }

    private func pass(from upstream: Int32, to caller: Int32, isChosen: Bool) {
        var at = 0
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let number = isChosen ? tampered.load(ordering: .relaxed) : 0
        // Behind the head of an answer, and within the first frames.
        let spoilAt = 200 + number * 37 % 900
        while true {
            let count = recv(upstream, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            var piece = Array(buffer[..<count])
            byteCount.add(count, ordering: .relaxed)
            if isChosen, (at..<at + count).contains(spoilAt) {
                switch tampering {
                case .changesBytes:
                    piece[spoilAt - at] ^= 0x55
                    tampered.add(1, ordering: .relaxed)
                case .breaksOff:
                    _ = TamperingProxy.send(Array(piece[..<(spoilAt - at)]), to: caller)
                    tampered.add(1, ordering: .relaxed)
                    return
                case .nothing, .answers: break
                }
            }
            at += count
            guard TamperingProxy.send(piece, to: caller) else { return }
        }
    }

    /// Lets the caller read all before the connection ends.
    private func finish(_ caller: Int32) {
        Glibc.shutdown(caller, Int32(SHUT_WR))
        var rest = [UInt8](repeating: 0, count: 1024)
        while recv(caller, &rest, rest.count, 0) > 0 {}
    }

    private func connect() -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        address.sin_port = in_port_t(target.port).bigEndian
        let length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, length) }
        }
        guard status == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    /// One request with its body; nil where the caller hangs up first.
    private static func request(from caller: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var needed = Int.max
        while bytes.count < needed {
            let count = recv(caller, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
            guard needed == Int.max, let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { continue }
            let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased()
            let length = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
            let body = length.flatMap { Int($0.dropFirst("content-length:".count).trimmingPrefix(" ")) } ?? 0
            needed = end.upperBound + body
        }
        return bytes
    }

    private static func send(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var at = 0
        while at < bytes.count {
            let sent = bytes[at...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return false }
            at += sent
        }
        return true
    }
}
