// SPDX-License-Identifier: Apache-2.0

import CFuse

/// Directory entries in the kernel's form, up to a number of bytes.
///
/// The one that ``Operations/readDirectory(_:inode:handle:offset:plus:buffer:reply:)`` gets is its thread's and holds
/// until that method returns; for a later answer make another inside the task, of the same capacity and kind.
public final class DirectoryBuffer {
    // Safety: `memory` is the thread's reply buffer, which outlives this object's use, or `owned` and freed in deinit.
    private let memory: UnsafeMutableRawBufferPointer
    private let owned: Bool
    private var used = 0
    /// In bytes.
    public private(set) var capacity: Int
    /// Whether entries carry attributes (readdirplus).
    public private(set) var plus: Bool

    /// An empty buffer of its own memory. `capacity` in bytes and `plus` are those of the buffer the request came with.
    public init(capacity: Int, plus: Bool) {
        memory = .allocate(byteCount: max(capacity, 1), alignment: MemoryLayout<UInt64>.alignment)
        owned = true
        self.capacity = capacity
        self.plus = plus
    }

    init(over memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
        owned = false
        capacity = memory.count
        plus = false
    }

    deinit {
        if owned { memory.deallocate() }
    }

    /// Empties it for the next request.
    func reset(capacity: Int, plus: Bool) {
        used = 0
        self.capacity = min(capacity, memory.count)
        self.plus = plus
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<used]) }

    /// Whether nothing was added.
    public var isEmpty: Bool { used == 0 }

    /// Adds a name with its inode and type; in a buffer with attributes, without a lookup (`.` and `..` go here).
    /// `offset` is where a listing goes on after it. False if it does not fit; then it was not added.
    public func add(name: String, attributes: Attributes, offset: UInt64) -> Bool {
        var entry = fuse_entry_param()
        entry.attr = attributes.status
        // Inode 0 tells the kernel that the entry is a name only, not a lookup.
        entry.ino = 0
        return append(&entry, name: name, offset: offset)
    }

    /// Adds a name; in a buffer with attributes it counts as a lookup of the inode. `offset` is where a listing goes on
    /// after it. False if it does not fit; then it was not added.
    public func add(_ found: Found, name: String, offset: UInt64) -> Bool {
        var entry = found.entryParameters
        return append(&entry, name: name, offset: offset)
    }

    private func append(_ entry: inout fuse_entry_param, name: String, offset: UInt64) -> Bool {
        guard let base = memory.baseAddress else { return false }
        let free = capacity - used
        let start = base.advanced(by: used).assumingMemoryBound(to: CChar.self)
        let offset = Int(truncatingIfNeeded: offset)
        let size = name.withCString { name in
            if plus { return fuse_add_direntry_plus(nil, start, free, name, &entry, offset) }
            return fuse_add_direntry(nil, start, free, name, &entry.attr, offset)
        }
        if size > free { return false }
        used += size
        return true
    }
}
