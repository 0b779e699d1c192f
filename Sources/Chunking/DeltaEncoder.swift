// SPDX-License-Identifier: Apache-2.0

import CZstd

/// Writes a batch of chunks against their bases: one zstd frame over the concatenated chunks, with the concatenated
/// bases before them as if they had been sent.
///
/// The frame has no magic number, no checksum and no sizes: both ends know what it is and how long, and every chunk is
/// checked against its digest. Contexts are reused, one a thread.
public enum DeltaEncoder {
    /// The most bytes of bases for one batch: what bounds the memory of both ends.
    public static let baseByteCountMax = 6 << 20
    /// The most bytes of chunks in one batch.
    public static let targetByteCountMax = 2 << 20
    /// The levels that ``encode(targets:bases:level:)`` knows.
    public static let levels: ClosedRange<Int32> = 1...19

    /// - Parameters:
    ///   - targets: at most ``targetByteCountMax`` bytes altogether.
    ///   - bases: at most ``baseByteCountMax`` bytes altogether; none make a plain batch.
    ///   - level: of zstd.
    public static func encode(
        targets: [UnsafeRawBufferPointer], bases: [UnsafeRawBufferPointer], level: Int32
    ) -> [UInt8] {
        let prefix = Concatenation(bases)
        let target = Concatenation(targets)
        return encode(target.bytes, prefix: prefix.bytes, level: level)
    }

    /// - Parameters:
    ///   - target: the concatenated chunks.
    ///   - prefix: the concatenated bases.
    public static func encode(
        _ target: UnsafeRawBufferPointer, prefix: UnsafeRawBufferPointer, level: Int32
    ) -> [UInt8] {
        precondition(target.count <= targetByteCountMax && prefix.count <= baseByteCountMax, "a batch is bounded")
        let bound = ZSTD_compressBound(target.count)
        let frame = [UInt8](unsafeUninitializedCapacity: bound) { out, count in
            count = DeltaContext.shared.value.encode(target, prefix, level, into: UnsafeMutableRawBufferPointer(out))
        }
        // Every frame begins with the same four bytes.
        return Array(frame.dropFirst(DeltaFrame.magic.count))
    }
}

/// What both ends know of a frame without being told.
enum DeltaFrame {
    /// The magic number of a zstd frame (RFC 8878, section 3.1.1), which is not sent.
    static let magic: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd]

    /// The logarithm of a window that reaches from the last byte of a batch to the first of its bases.
    static func windowLog(_ byteCount: Int) -> Int32 {
        var log: Int32 = 17
        while byteCount > 1 << log { log += 1 }
        return log
    }
}

/// Buffers one after another in memory.
struct Concatenation: ~Copyable {
    let bytes: UnsafeRawBufferPointer

    init(_ parts: [UnsafeRawBufferPointer]) {
        let all = UnsafeMutableRawBufferPointer.allocate(byteCount: parts.reduce(0) { $0 + $1.count }, alignment: 16)
        var at = 0
        for part in parts {
            UnsafeMutableRawBufferPointer(rebasing: all[at...]).copyMemory(from: part)
            at += part.count
        }
        bytes = UnsafeRawBufferPointer(all)
    }

    deinit { bytes.deallocate() }
}

/// A thread's compression context with the parameters of the last batch.
private final class DeltaContext {
    static let shared = PerThread { DeltaContext() }
    /// The level from which zstd keeps rows of candidates by hash.
    private static let rowLevel: Int32 = 5
    private let context: OpaquePointer

    init() {
        guard let context = ZSTD_createCCtx() else { preconditionFailure("zstd: no memory for a context") }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)
    }

    deinit { ZSTD_freeCCtx(context) }

    /// Returns the bytes of `out` that are used.
    func encode(
        _ target: UnsafeRawBufferPointer, _ prefix: UnsafeRawBufferPointer, _ level: Int32,
        into out: UnsafeMutableRawBufferPointer
    ) -> Int {
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        let windowLog = DeltaFrame.windowLog(target.count + prefix.count)
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, windowLog)
        // A place in the table for every second byte at the least: the row matcher of the higher levels forgets the
        // oldest bases with fewer, and zstd's own choice, by the level, has far fewer. Low levels keep every third.
        let tableLog = windowLog - (level < DeltaContext.rowLevel ? 2 : 1)
        ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, tableLog)
        ZSTD_CCtx_setParameter(context, ZSTD_c_chainLog, tableLog)
        ZSTD_CCtx_refPrefix(context, prefix.baseAddress, prefix.count)
        let count = ZSTD_compress2(context, out.baseAddress, out.count, target.baseAddress, target.count)
        guard ZSTD_isError(count) == 0 else {
            preconditionFailure("zstd: \(String(cString: ZSTD_getErrorName(count)))")
        }
        return count
    }
}
