// SPDX-License-Identifier: Apache-2.0

import CHandover
import Glibc

/// One end of a connection between agent and holder: packets with descriptors. Closed when the last reference goes.
final class HolderSocket: Sendable {
    /// A message and the descriptors that came with it, which are the receiver's to close.
    struct Packet {
        let message: HolderMessage
        let device: Int32
        let memory: Int32

        func close() {
            if device >= 0 { Glibc.close(device) }
            if memory >= 0 { Glibc.close(memory) }
        }
    }

    let number: Int32

    init(_ number: Int32) { self.number = number }

    deinit { close(number) }

    /// Connects to the holder of a path.
    static func connect(_ path: String) throws(HolderError) -> HolderSocket {
        let socket = HolderSocket(try make())
        let result = try withAddress(path) { Glibc.connect(socket.number, $0, $1) }
        guard result == 0 else { throw .system("no holder answers at '\(path)'", .unreachable) }
        return socket
    }

    /// Listens at a path, in place of whoever did before: connections to that one stay.
    static func listen(_ path: String) throws(HolderError) -> HolderSocket {
        let socket = HolderSocket(try make())
        let temporary = path + ".new"
        unlink(temporary)
        guard try withAddress(temporary, { bind(socket.number, $0, $1) }) == 0 else {
            throw .system("the socket '\(path)' cannot be made")
        }
        guard chmod(temporary, 0o600) == 0, Glibc.listen(socket.number, 64) == 0, rename(temporary, path) == 0 else {
            throw .system("the socket '\(path)' cannot be made")
        }
        return socket
    }

    func accept() -> HolderSocket? {
        let other = Glibc.accept(number, nil, nil)
        guard other >= 0 else { return nil }
        _ = fcntl(other, F_SETFD, FD_CLOEXEC)
        return HolderSocket(other)
    }

    /// Returns false where the other end is gone.
    @discardableResult
    func send(_ message: HolderMessage, device: Int32 = -1, memory: Int32 = -1) -> Bool {
        let bytes = message.bytes
        let descriptors = device >= 0 ? [device, memory] : []
        return chandover_send(number, bytes, bytes.count, descriptors, Int32(descriptors.count)) == bytes.count
    }

    /// Waits for a packet; nil where the connection ended or what came is no message.
    func receive() -> Packet? {
        var bytes = [UInt8](repeating: 0, count: HolderMessage.byteCountMax)
        var descriptors: [Int32] = [-1, -1]
        var count = -1
        repeat {
            count = chandover_receive(number, &bytes, bytes.count, &descriptors)
        } while count < 0 && errno == EINTR
        guard count > 0, let message = HolderMessage(bytes[..<count]) else {
            for descriptor in descriptors where descriptor >= 0 { close(descriptor) }
            return nil
        }
        return Packet(message: message, device: descriptors[0], memory: descriptors[1])
    }

    /// The process at the other end; 0 where it is in another PID namespace.
    var peer: pid_t { chandover_peer(number) }

    private static func make() throws(HolderError) -> Int32 {
        let type = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
        let number = socket(AF_UNIX, type, 0)
        guard number >= 0 else { throw .system("a socket cannot be made") }
        return number
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(HolderError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            guard path.utf8.count < bytes.count else { return false }
            bytes.copyBytes(from: path.utf8)
            return true
        }
        guard fits else { throw HolderError(.system, "the socket path '\(path)' is too long") }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
