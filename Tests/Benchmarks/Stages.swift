// SPDX-License-Identifier: Apache-2.0

import CXXHash
import Chunking
import Content
import Foundation

/// Core-seconds per byte of each stage that a byte passes on its way in and out, one core, on the caller's own file:
/// what `hack/bench` adds up to the ceiling that it compares the mount with (DESIGN §13, "sum").
struct Stages {
    var bytes: UInt64 = 0
    var seconds: [String: Double] = [:]
    var chunkCount = 0
    var storedBytes: UInt64 = 0
    var newChunkCount = 0
    var newBytes: UInt64 = 0
    var newStoredBytes: UInt64 = 0

    /// Keeps the checksums from being optimised away.
    private(set) var hash: UInt64 = 0
    private var known: Set<Digest> = []
    private let decompressor = Decompressor()
    private let stored = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Int(Manifest.chunkLengthMax),
        alignment: 64
    )
    private let raw = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(Manifest.chunkLengthMax), alignment: 64)

    /// Learns the chunks of the object that a receiver holds already.
    mutating func learn(_ path: String) throws {
        try chunks(of: path) { stages, chunk in stages.known.insert(Digest.sha256(of: chunk)) }
    }

    /// Measures every stage over a file.
    mutating func measure(_ path: String) throws {
        bytes = 0
        seconds = [:]
        let staging = try StagingProbe()
        defer { staging.close() }
        try chunks(of: path) { stages, chunk in try stages.measure(chunk, staging) }
    }

    private mutating func measure(_ chunk: UnsafeRawBufferPointer, _ staging: StagingProbe) throws {
        chunkCount += 1
        var begin = threadSeconds()
        let digest = Digest.sha256(of: chunk)
        spent("sha256", since: begin)
        begin = threadSeconds()
        let result = LZ4.compress(chunk, into: stored)
        spent("compress", since: begin)
        let payload =
            result.codec == .plain
            ? chunk : UnsafeRawBufferPointer(rebasing: stored[..<result.count])
        storedBytes += UInt64(payload.count)
        if known.insert(digest).inserted {
            newChunkCount += 1
            newBytes += UInt64(chunk.count)
            newStoredBytes += UInt64(payload.count)
        }
        let out = UnsafeMutableRawBufferPointer(rebasing: raw[..<chunk.count])
        begin = threadSeconds()
        try decompressor.decompress(result.codec, payload, into: out)
        spent("decompress", since: begin)
        begin = threadSeconds()
        hash ^= larder_xxh3_64(payload.baseAddress, payload.count)
        spent("checksum", since: begin)
        begin = threadSeconds()
        try staging.write(chunk)
        spent("stage_write", since: begin)
        begin = threadSeconds()
        try staging.read(out)
        spent("stage_read", since: begin)
        begin = threadSeconds()
        try staging.append(payload)
        spent("segment_write", since: begin)
        begin = threadSeconds()
        try staging.readBack(payload.count, into: stored)
        spent("segment_read", since: begin)
    }

    /// Adds the core-seconds since `begin` to a stage.
    private mutating func spent(_ stage: String, since begin: Double) {
        seconds[stage, default: 0] += threadSeconds() - begin
    }

    private mutating func chunks(
        of path: String,
        _ each: (inout Stages, UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? file.close() }
        let window = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 << 20, alignment: 4096)
        defer { window.deallocate() }
        var cutter = ContainerCutter()
        var filled = 0
        while true {
            let got = read(file.fileDescriptor, window.baseAddress! + filled, window.count - filled)
            guard got >= 0 else { throw POSIXError(.EIO) }
            filled += got
            var at = 0
            while at < filled {
                let rest = UnsafeRawBufferPointer(rebasing: window[at..<filled])
                let begin = threadSeconds()
                let length = cutter.cut(rest, isEnd: got == 0)
                spent("cut", since: begin)
                guard let length else { break }
                bytes += UInt64(length)
                try each(&self, UnsafeRawBufferPointer(rebasing: window[at..<at + length]))
                at += length
            }
            if got == 0 { return }
            window.copyMemory(from: UnsafeRawBufferPointer(rebasing: window[at..<filled]))
            filled -= at
        }
    }
}

/// A file beside which the stages that touch the page cache are measured; removed when it is closed.
final class StagingProbe {
    private let descriptor: Int32
    private let path: String
    private var written: Int = 0
    private var appended: Int = 0
    private static let wrap = 256 << 20

    init() throws {
        path = NSTemporaryDirectory() + "/larder-stages-\(getpid())"
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw POSIXError(.EIO) }
        unlink(path)
    }

    func close() { Foundation.close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(written)) == bytes.count else {
            throw POSIXError(.EIO)
        }
    }

    func read(_ out: UnsafeMutableRawBufferPointer) throws {
        guard pread(descriptor, out.baseAddress, out.count, off_t(written)) == out.count else { throw POSIXError(.EIO) }
        written = (written + out.count) % StagingProbe.wrap
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws {
        let at = StagingProbe.wrap * 2 + appended
        guard pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(at)) == bytes.count else {
            throw POSIXError(.EIO)
        }
    }

    func readBack(_ count: Int, into out: UnsafeMutableRawBufferPointer) throws {
        let at = StagingProbe.wrap * 2 + appended
        guard pread(descriptor, out.baseAddress, count, off_t(at)) == count else { throw POSIXError(.EIO) }
        appended = (appended + count) % StagingProbe.wrap
    }
}

func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
