// SPDX-License-Identifier: Apache-2.0

/// A mount that a holder keeps, as one agent has it: the device, and memory that its predecessor wrote.
///
/// The memory is laid out here; its last part is for whoever uses this module, who keeps there what handles and inodes
/// mean.
public struct HeldMount: Sendable {
    /// How requests that a predecessor left are found again.
    public enum Recovery: String, Sendable {
        /// The kernel sends them again where it can (Linux 6.9), otherwise they are in the memory.
        case resend
        /// They are in the memory.
        case memory
    }

    /// A duplicate for this session, which closes it.
    let device: Int32
    public let memory: SharedMemory
    let epoch: UInt64
    let recovery: Recovery

    /// Bytes of the memory: requests, and ``journalByteCount``. Pages cost nothing until they are written.
    public static let byteCount = RequestMemory.byteCount + journalByteCount
    /// How this program lays it out.
    public static let layout = RequestMemory.layout
    /// Bytes of the last part.
    public static let journalByteCount = 512 << 20
    /// Refuses memory that this program cannot read; before anything else is done with it.
    /// - Throws: `.profile`.
    public func check() throws(FUSEError) { try RequestMemory(memory).open() }

    /// Where the last part begins.
    public static let journalOffset = RequestMemory.byteCount

    public init(device: Int32, memory: SharedMemory, epoch: UInt64, recovery: Recovery) {
        self.device = device
        self.memory = memory
        self.epoch = epoch
        self.recovery = recovery
    }
}

/// What is known of a request that was under way when its agent died.
public struct Replay: Sendable, Hashable {
    /// Its effect is done, and this is what it was to be answered (0: success).
    public let outcome: Errno?
    /// It was being worked on: its effect may be done or not.
    public let isBegun: Bool
    /// What ``Reply/note(_:)`` kept for it.
    public let value: UInt64?
}
