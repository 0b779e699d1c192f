// SPDX-License-Identifier: Apache-2.0

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

    private var known: Set<Digest> = []
    private let compressor = Compressor(level: Compressor.atRestLevel)
    private let decompressor = Decompressor()
    private let stored = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Compressor.bound(Int(Manifest.chunkLengthMax)),
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
        var digest = Digest.sha256(of: [])
        timed("sha256") { digest = Digest.sha256(of: chunk) }
        var result: (codec: Codec, count: Int) = (.plain, 0)
        timed("compress") { result = compressor.compress(chunk, into: stored) }
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
        var failure: (any Error)?
        timed("decompress") {
            do { try decompressor.decompress(result.codec, payload, into: out) } catch { failure = error }
        }
        if let failure { throw failure }
        try timed("stage_write") { try staging.write(chunk) }
        try timed("stage_read") { try staging.read(out) }
        try timed("segment_write") { try staging.append(payload) }
        try timed("segment_read") { try staging.readBack(payload.count, into: stored) }
    }

    private mutating func timed(_ stage: String, _ body: () throws -> Void) rethrows {
        let begin = threadSeconds()
        try body()
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
        var cutter = Cutter()
        var filled = 0
        while true {
            let got = read(file.fileDescriptor, window.baseAddress! + filled, window.count - filled)
            guard got >= 0 else { throw POSIXError(.EIO) }
            filled += got
            var at = 0
            while at < filled {
                var length: Int?
                let rest = UnsafeRawBufferPointer(rebasing: window[at..<filled])
                timed("cut") { length = cutter.cut(rest, isEnd: got == 0) }
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
