// SPDX-License-Identifier: Apache-2.0

import Foundation

/// System calls on a mount, which block until the file system under test answers: each runs on a thread of its own.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        let thread = Thread { continuation.resume(returning: body()) }
        thread.stackSize = 256 << 10
        thread.start()
    }
}

/// The result, or the negated errno.
func errnoNegated(_ result: Int) -> Int { result >= 0 ? result : -Int(errno) }

func status(_ path: String) -> (error: Int32, status: stat) {
    var status = stat()
    return lstat(path, &status) == 0 ? (0, status) : (errno, status)
}

func statError(_ path: String) async -> Int32 {
    await onThread { status(path).error }
}

/// What a file has, or why it could not be read.
enum Reading: Equatable, Sendable {
    case bytes([UInt8])
    case error(Int32)
}

/// Reads a whole file in calls of `step` bytes.
func readAll(_ path: String, flags: Int32 = 0, step: Int = 1 << 20) -> Reading {
    let file = open(path, O_RDONLY | O_CLOEXEC | flags)
    guard file >= 0 else { return .error(errno) }
    defer { close(file) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: step, alignment: 4096)
    defer { buffer.deallocate() }
    var bytes: [UInt8] = []
    while true {
        let count = read(file, buffer.baseAddress, step)
        if count < 0 { return .error(errno) }
        if count == 0 { return .bytes(bytes) }
        bytes.append(contentsOf: buffer[..<count])
    }
}

func writeAll(_ path: String, _ bytes: [UInt8], flags: Int32 = 0, step: Int = 1 << 20) -> Int32 {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | flags, 0o644)
    guard file >= 0 else { return errno }
    // One more page than a request has fits only without an offset into the first.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: step, alignment: 4096)
    defer { buffer.deallocate() }
    var done = 0
    while done < bytes.count {
        let part = bytes[done..<min(done + step, bytes.count)]
        buffer.copyBytes(from: part)
        let count = write(file, buffer.baseAddress, part.count)
        if count < 0 {
            defer { close(file) }
            return errno
        }
        done += count
    }
    return close(file) == 0 ? 0 : errno
}

/// The names that readdir(3) gives, in its order.
func names(_ path: String) -> [String]? {
    guard let directory = opendir(path) else { return nil }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        names.append(name)
    }
    return names
}

/// Bytes that differ from page to page.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        for index in 0..<count {
            if index % 8 == 0 { state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
            buffer[index] = UInt8(truncatingIfNeeded: state >> (UInt64(index % 8) * 8))
        }
        initialized = count
    }
}
