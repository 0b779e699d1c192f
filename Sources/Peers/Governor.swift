// SPDX-License-Identifier: Apache-2.0

/// Decides what may leave over the links and when: a line of a fixed rate in virtual time, readers first. Readers share it,
/// each as much as the other; in the other classes the request goes first that asked first, so that one thing is whole
/// early and not all of them late.
///
/// A value without clock or socket: whoever holds it tells it the time. Work comes in quanta, so a reader who arrives
/// waits for one quantum at most, whatever is under way.
public struct Governor: Sendable {
    /// The most bytes that are granted at once: 10 ms of 50 Mbit/s.
    public static let quantum = 64 << 10
    /// An Ethernet frame carries 1448 bytes of a TCP stream (1500 less IP, TCP and time stamps) in 1514.
    public static let frameByteCount = 1514.0
    public static let segmentByteCount = 1448.0
    /// How much time the line may be ahead or behind: a sleep ends late by some milliseconds, and without credit for
    /// them every one would be lost rate.
    static let slack: Duration = .milliseconds(10)

    /// A quantum that waits.
    public struct Ticket: Hashable, Sendable {
        public let number: UInt64
        public let request: UInt64
        public let bytes: Int
    }

    private struct Flow {
        var priority: Priority
        let arrival: UInt64
        var tickets: [Ticket] = []
        /// Of a reader, the bytes up to which it had its share when its next quantum came.
        var share = 0
    }

    /// Nanoseconds of line time per byte handed to TCP; nil: the line is not paced.
    private let nanosecondsPerByte: Double?
    /// When the line has sent everything granted.
    private var busyUntil: Duration = .zero
    private var flows: [UInt64: Flow] = [:]
    private var counter: UInt64 = 0
    /// The share of the reader that was served last: one that comes now has missed nothing before it, and is owed nothing.
    private var share = 0

    /// - Parameters:
    ///   - bytesPerSecond: what the interface may carry, packet headers included; nil: any amount.
    ///   - headroom: the part that stays free.
    public init(bytesPerSecond: Double?, headroom: Double) {
        nanosecondsPerByte = bytesPerSecond.map {
            1e9 * (Governor.frameByteCount / Governor.segmentByteCount) / ($0 * (1 - headroom))
        }
    }

    public var isPaced: Bool { nanosecondsPerByte != nil }
    /// Quanta that wait.
    public var waitingCount: Int { flows.values.reduce(0) { $0 + $1.tickets.count } }

    /// Gives a request its place in the order of its class.
    public mutating func begin(request: UInt64, priority: Priority) {
        counter += 1
        if flows[request] == nil { flows[request] = Flow(priority: priority, arrival: counter) }
    }

    /// Puts a quantum of a request into the queue. A request keeps the priority that a promotion gave it.
    public mutating func enqueue(request: UInt64, priority: Priority, bytes: Int) -> Ticket {
        counter += 1
        let ticket = Ticket(number: counter, request: request, bytes: bytes)
        var flow = flows[request] ?? Flow(priority: priority, arrival: counter)
        flow.priority = min(flow.priority, priority)
        flow.share = max(flow.share, share)
        flow.tickets.append(ticket)
        flows[request] = flow
        return ticket
    }

    /// Makes a request more urgent, also while it waits.
    public mutating func promote(request: UInt64, to priority: Priority) {
        guard let flow = flows[request] else { return }
        flows[request]?.priority = min(flow.priority, priority)
    }

    /// Takes a quantum that nobody waits for any more out of the queue.
    public mutating func cancel(_ ticket: Ticket) {
        flows[ticket.request]?.tickets.removeAll { $0 == ticket }
    }

    /// Forgets a request that is over.
    public mutating func finish(request: UInt64) { flows[request] = nil }

    /// Counts bytes that leave at once: pushes and heartbeats.
    public mutating func charge(bytes: Int, now: Duration) {
        guard let nanosecondsPerByte else { return }
        busyUntil = max(busyUntil, now - Governor.slack) + .nanoseconds(Int64(Double(bytes) * nanosecondsPerByte))
    }

    /// What may leave now.
    ///
    /// - Returns: the quanta, in order, and when to ask again where others wait.
    public mutating func grant(now: Duration) -> (granted: [Ticket], next: Duration?) {
        var granted: [Ticket] = []
        while let request = first() {
            if isPaced, busyUntil > now + Governor.slack { return (granted, busyUntil - Governor.slack) }
            guard let ticket = flows[request]?.tickets.removeFirst() else { break }
            if let flow = flows[request], flow.priority == .reader {
                share = max(share, flow.share)
                flows[request]?.share = flow.share + ticket.bytes
            }
            charge(bytes: ticket.bytes, now: now)
            granted.append(ticket)
        }
        return (granted, nil)
    }

    private func first() -> UInt64? {
        flows.filter { !$0.value.tickets.isEmpty }
            .min { Governor.isBefore($0.value, $1.value) }?.key
    }

    private static func isBefore(_ a: Flow, _ b: Flow) -> Bool {
        if a.priority != b.priority { return a.priority < b.priority }
        if a.priority == .reader, a.share != b.share { return a.share < b.share }
        return a.arrival < b.arrival
    }
}
