// SPDX-License-Identifier: Apache-2.0

import CHandover
import Glibc
import Synchronization

/// The process that keeps the kernel's FUSE connections while agents come and go.
///
/// It opens the device, mounts, keeps both descriptors of each volume for as long as the mount lives, and gives
/// duplicates to the one agent that has the volume. It answers no request of the kernel and knows nothing of what the
/// shared memory holds but its first words: a mark, the epoch, which it counts up at each hand-over, and a layout.
///
/// One thread, one loop.
public final class Holder {
    /// Where the epoch stands in a volume's memory: 64 bits in the machine's order.
    public static let epochOffset = 8
    /// Where it says how the rest is laid out, as 64 bits too; 0 until an agent had it.
    public static let layoutOffset = 16
    /// How often limits are looked at, in milliseconds.
    private static let tick: Int32 = 200

    private struct Mount {
        let path: String
        let device: Int32
        let memory: Int32
    }

    private let path: String
    private let lingers: Bool
    private let log: (String) -> Void
    private var table: HolderTable
    private var mounts: [String: Mount] = [:]
    private var connections: [Int: HolderSocket] = [:]
    private var next = 1
    private var isOver = false

    /// - Parameters:
    ///   - path: the socket's.
    ///   - grace: milliseconds for which requests wait for an agent before they fail.
    ///   - lingers: after handing everything to a successor, wait for SIGTERM and do not end.
    public init(path: String, grace: UInt64, lingers: Bool, log: @escaping (String) -> Void) {
        self.path = path
        self.lingers = lingers
        self.log = log
        table = HolderTable(grace: grace)
    }

    /// Takes over from the holder at the path, if there is one, and serves until SIGTERM, SIGINT or a successor.
    ///
    /// - Throws: ``HolderError``.
    public func run() throws(HolderError) {
        for number in [SIGTERM, SIGINT] { signal(number) { _ in hasToEnd.store(true, ordering: .relaxed) } }
        signal(SIGPIPE, SIG_IGN)
        try makeParent()
        inherit()
        let listener = try HolderSocket.listen(path)
        log("holding at \(path), \(mounts.count) mounts")
        while !isOver, !hasToEnd.load(ordering: .relaxed) { step(listener) }
        if isOver { return linger() }
        end()
    }

    private func makeParent() throws(HolderError) {
        let parts = path.split(separator: "/").dropLast()
        for count in 1...max(1, parts.count) where !parts.isEmpty {
            let directory = "/" + parts.prefix(count).joined(separator: "/")
            guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
                throw .system("the directory '\(directory)' cannot be made")
            }
        }
    }

    /// The holder before this one gives everything, and ends.
    private func inherit() {
        guard let old = try? HolderSocket.connect(path), old.send(HolderMessage(.inherit)) else { return }
        while let packet = old.receive(), packet.message.verb == .volume {
            let name = packet.message[0]
            guard packet.device >= 0, packet.memory >= 0, mounts[name] == nil else {
                packet.close()
                continue
            }
            mounts[name] = Mount(path: packet.message[1], device: packet.device, memory: packet.memory)
            table.add(name, path: packet.message[1], owner: nil, now: now())
        }
    }

    private func step(_ listener: HolderSocket) {
        let numbers = connections.keys.sorted()
        var polled = [pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0)]
        polled += numbers.map { pollfd(fd: connections[$0]?.number ?? -1, events: Int16(POLLIN), revents: 0) }
        if poll(&polled, nfds_t(polled.count), Holder.tick) > 0 {
            for (number, status) in zip(numbers, polled.dropFirst()) where status.revents != 0 { hear(number) }
            if polled[0].revents != 0, let socket = listener.accept() {
                connections[next] = socket
                next += 1
            }
        }
        perform(table.tick(now: now()))
    }

    private func hear(_ number: Int) {
        guard let socket = connections[number] else { return }
        guard let packet = socket.receive() else { return close(number) }
        let message = packet.message
        switch message.verb {
        case .take:
            if let reason = mismatch(message[0], layout: UInt64(message[3])) {
                socket.send(HolderMessage(.refused, message[0], reason))
                break
            }
            perform(
                table.take(message[0], path: message[1], by: number, replacing: message[2] == "replace", now: now()))
        case .mount:
            let actions = table.mount(
                message[0], path: message[1], byteCount: Int(message[2]) ?? 0, by: number, now: now())
            perform(actions)
        case .serving: table.serves(message[0], number)
        case .drop: perform(table.drop(message[0], by: number))
        case .deposit: return deposit(packet, number)
        case .inherit: bequeath(to: socket)
        case .granted, .unknown, .refused, .drain, .volume, .end: break
        }
        packet.close()
    }

    /// Why an agent cannot go on with a volume; nil where it can, or does not say what it reads.
    private func mismatch(_ volume: String, layout: UInt64?) -> String? {
        guard let layout, let mount = mounts[volume] else { return nil }
        let has = withFirstPage(mount) { chandover_count($0 + Holder.layoutOffset) } ?? 0
        guard has != 0, has != layout else { return nil }
        return "the memory of volume '\(volume)' has layout \(has) and this program reads \(layout): run the version "
            + "that made the mount, or stop the holder, which ends the mount"
    }

    private func close(_ number: Int) {
        connections[number] = nil
        perform(table.closed(number, now: now()))
    }

    /// An agent outlived the holder before this one and gives back what it serves.
    private func deposit(_ packet: HolderSocket.Packet, _ number: Int) {
        let (name, path, epoch) = (packet.message[0], packet.message[1], UInt64(packet.message[2]))
        guard let socket = connections[number], packet.device >= 0, packet.memory >= 0 else { return packet.close() }
        if let own = mounts[name] {
            packet.close()
            guard table.owner(of: name) == nil, self.epoch(of: own) == epoch else {
                socket.send(HolderMessage(.refused, name, "another agent has volume '\(name)' by now"))
                return
            }
        } else {
            mounts[name] = Mount(path: path, device: packet.device, memory: packet.memory)
            table.add(name, path: path, owner: number, now: now())
        }
        table.serves(name, number)
        socket.send(HolderMessage(.granted, name, packet.message[2]))
        log("volume \(name): its agent came back")
    }

    private func bequeath(to successor: HolderSocket) {
        for (name, path) in table.paths {
            guard let mount = mounts[name] else { continue }
            let message = HolderMessage(.volume, name, path)
            guard successor.send(message, device: mount.device, memory: mount.memory) else {
                return log("the successor ended before it had everything")
            }
        }
        successor.send(HolderMessage(.end))
        isOver = true
        log("a successor has everything")
    }

    private func perform(_ actions: [HolderTable.Action]) {
        for action in actions {
            switch action {
            case .grant(let connection, let volume): grant(volume, to: connection)
            case .tell(let connection, let message): connections[connection]?.send(message)
            case .mount(let connection, let volume, let path, let byteCount):
                do throws(HolderError) {
                    mounts[volume] = try mount(volume, at: path, byteCount: byteCount)
                    table.add(volume, path: path, owner: connection, now: now())
                    grant(volume, to: connection)
                } catch {
                    connections[connection]?.send(HolderMessage(.refused, volume, error.message))
                }
            case .kill(let connection):
                guard let pid = connections[connection]?.peer, pid > 1 else { continue }
                log("process \(pid) did not leave and is killed")
                kill(pid, SIGKILL)
            case .drop(let volume, let unmount): drop(volume, unmount)
            }
        }
    }

    private func grant(_ volume: String, to connection: Int) {
        guard let mount = mounts[volume], let socket = connections[connection] else { return }
        guard let epoch = countUp(mount) else {
            socket.send(HolderMessage(.refused, volume, "the volume's memory cannot be mapped"))
            return
        }
        socket.send(HolderMessage(.granted, volume, "\(epoch)"), device: mount.device, memory: mount.memory)
        log("volume \(volume): epoch \(epoch)")
    }

    private func mount(_ volume: String, at path: String, byteCount: Int) throws(HolderError) -> Mount {
        let device = open("/dev/fuse", O_RDWR | O_CLOEXEC)
        guard device >= 0 else { throw .system("/dev/fuse does not open") }
        let options = "fd=\(device),rootmode=40000,user_id=0,group_id=0,allow_other"
        let flags = UInt(MS_NOSUID) | UInt(MS_NODEV)
        guard Glibc.mount("larder", path, "fuse.larder", flags, options) == 0 else {
            let error = HolderError.system("'\(path)' cannot be mounted")
            Glibc.close(device)
            throw error
        }
        let memory = chandover_memory("larder-\(volume)", off_t(byteCount))
        guard memory >= 0 else {
            let error = HolderError.system("\(byteCount) bytes of shared memory cannot be made")
            umount2(path, Int32(MNT_DETACH))
            Glibc.close(device)
            throw error
        }
        return Mount(path: path, device: device, memory: memory)
    }

    private func drop(_ volume: String, _ unmount: Bool) {
        guard let mount = mounts.removeValue(forKey: volume) else { return }
        log("volume \(volume): the mount ends")
        end(mount, unmount)
    }

    /// What waits for the mount gets an error, and the read-only directory below it is seen again.
    private func end(_ mount: Mount, _ unmount: Bool) {
        if unmount { umount2(mount.path, Int32(MNT_FORCE) | Int32(MNT_DETACH)) }
        Glibc.close(mount.device)
        Glibc.close(mount.memory)
    }

    private func countUp(_ mount: Mount) -> UInt64? {
        withFirstPage(mount) { chandover_count_up($0 + Holder.epochOffset) }
    }

    private func epoch(of mount: Mount) -> UInt64? {
        withFirstPage(mount) { chandover_count($0 + Holder.epochOffset) }
    }

    private func withFirstPage<R>(_ mount: Mount, _ body: (UnsafeMutableRawPointer) -> R) -> R? {
        let size = 4096
        guard let page = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, mount.memory, 0), page != MAP_FAILED
        else { return nil }
        defer { munmap(page, size) }
        return body(page)
    }

    /// SIGTERM: mounts without an agent end here; an agent that serves takes its own away when it ends.
    private func end() {
        for (name, mount) in mounts where table.owner(of: name) == nil {
            end(mount, true)
            log("volume \(name): unmounted")
        }
    }

    private func linger() {
        // The successor has them. Kept here as well they would keep a connection of the kernel's from ending with it.
        for mount in mounts.values { end(mount, false) }
        mounts = [:]
        connections = [:]
        while lingers, !hasToEnd.load(ordering: .relaxed) { poll(nil, 0, Holder.tick) }
    }

    private func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }
}

/// Set by signals.
private let hasToEnd = Atomic(false)
