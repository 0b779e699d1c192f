// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOConcurrencyHelpers

/// A volume that this agent has of a holder: the descriptors of its mount, and the connection that says so.
///
/// Where the holder ends, it is looked for again and gets everything back: the mount lives as long as either does.
public final class HeldVolume: Sendable {
    /// How often a holder that ended is looked for, in microseconds.
    private static let retryPause: UInt32 = 100_000

    private struct State {
        var socket: HolderSocket?
        var isOver = false
    }

    public let name: String
    public let path: String
    /// The number of this hand-over; the memory's own is higher once another agent has the volume.
    public let epoch: UInt64
    /// The FUSE device and the shared memory, the caller's to duplicate; closed with the last reference to this.
    public let device: Int32
    public let memory: Int32
    private let holder: String
    private let state: NIOLockedValueBox<State>

    private init(
        _ name: String, _ path: String, _ epoch: UInt64, _ packet: HolderSocket.Packet, _ holder: String,
        _ socket: HolderSocket
    ) {
        self.name = name
        self.path = path
        self.epoch = epoch
        device = packet.device
        memory = packet.memory
        self.holder = holder
        state = NIOLockedValueBox(State(socket: socket))
    }

    deinit {
        close(device)
        close(memory)
    }

    /// Asks the holder for a volume. Blocks until the agent that has it is gone.
    ///
    /// - Parameters:
    ///   - path: where it is, or is to be, mounted.
    ///   - byteCount: of the shared memory, where the volume is mounted anew.
    ///   - layout: of the memory that this agent reads: one that was written in another way is refused before the agent
    ///     that has the volume is asked to leave.
    ///   - replacing: asks the agent that has it to leave; otherwise it is waited for.
    ///   - prepare: makes the path ready for a mount; called where there is none.
    /// - Throws: ``HolderError``, or what `prepare` throws.
    public static func take(
        _ name: String,
        path: String,
        byteCount: Int,
        layout: UInt64,
        holder: String,
        replacing: Bool,
        prepare: () throws -> Void
    ) throws -> HeldVolume {
        let socket = try HolderSocket.connect(holder)
        socket.send(HolderMessage(.take, name, path, replacing ? "replace" : "wait", "\(layout)"))
        while let packet = socket.receive() {
            let message = packet.message
            switch message.verb {
            case .granted:
                guard let epoch = UInt64(message[1]), packet.device >= 0, packet.memory >= 0 else {
                    packet.close()
                    throw HolderError(.refused, "the holder at '\(holder)' sent no descriptors")
                }
                return HeldVolume(name, path, epoch, packet, holder, socket)
            case .unknown:
                try prepare()
                socket.send(HolderMessage(.mount, name, path, "\(byteCount)"))
            case .refused: throw HolderError(.refused, message[1])
            default: packet.close()
            }
        }
        throw HolderError(.unreachable, "the holder at '\(holder)' ended")
    }

    /// Requests are being answered: the holder need not end the mount after its limit.
    public func serves() { _ = state.withLockedValue { $0.socket }?.send(HolderMessage(.serving, name)) }

    /// The mount is gone: the holder forgets it.
    public func drop() { _ = state.withLockedValue { $0.socket }?.send(HolderMessage(.drop, name)) }

    /// The holder is there, and keeps the mount when this agent ends.
    public var isHeld: Bool { state.withLockedValue { $0.socket != nil } }

    /// Ends the connection: the volume is the next agent's.
    public func leave() {
        let socket = state.withLockedValue { state in
            state.isOver = true
            defer { state.socket = nil }
            return state.socket
        }
        if let socket { shutdown(socket.number, Int32(SHUT_RDWR)) }
    }

    /// Listens to the holder on the thread that calls, until ``leave()``.
    ///
    /// - Parameters:
    ///   - onDrain: another agent waits for the volume.
    ///   - onLost: another agent has it: nothing may be answered any more.
    public func listen(onDrain: () -> Void, onLost: (String) -> Void) {
        while let socket = state.withLockedValue({ $0.isOver ? nil : $0.socket }) ?? connectAgain(onLost) {
            guard let packet = socket.receive() else {
                state.withLockedValue { if $0.socket === socket { $0.socket = nil } }
                continue
            }
            packet.close()
            if packet.message.verb == .drain { onDrain() }
        }
    }

    /// Nil once this is over.
    private func connectAgain(_ onLost: (String) -> Void) -> HolderSocket? {
        while !state.withLockedValue({ $0.isOver }) {
            if let socket = try? HolderSocket.connect(holder),
                socket.send(HolderMessage(.deposit, name, path, "\(epoch)"), device: device, memory: memory),
                let packet = socket.receive()
            {
                packet.close()
                if packet.message.verb == .refused { onLost(packet.message[1]) }
                let isOver = state.withLockedValue { state in
                    if !state.isOver { state.socket = socket }
                    return state.isOver
                }
                return isOver ? nil : socket
            }
            usleep(HeldVolume.retryPause)
        }
        return nil
    }
}
