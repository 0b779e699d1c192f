// SPDX-License-Identifier: Apache-2.0

import CZstd

/// Reads what ``DeltaEncoder`` wrote, from bytes that nobody trusts: never writes more than was asked for, never reads
/// outside its input and its bases, and needs no memory that a frame could ask for.
public enum DeltaDecoder {
    /// - Parameters:
    ///   - bytes: the frame.
    ///   - bases: the chunks that the sender used, in its order.
    ///   - rawByteCount: the batch's chunks together, at most ``DeltaEncoder/targetByteCountMax``.
    /// - Throws: ``ChunkingError`` `malformed` where the frame is wrong or has another length.
    public static func decode(
        _ bytes: some Collection<UInt8>, bases: [UnsafeRawBufferPointer], rawByteCount: Int
    ) throws(ChunkingError) -> [UInt8] {
        let prefix = Concatenation(bases)
        return try decode(bytes, prefix: prefix.bytes, rawByteCount: rawByteCount)
    }

    /// - Parameter prefix: the concatenated bases.
    public static func decode(
        _ bytes: some Collection<UInt8>, prefix: UnsafeRawBufferPointer, rawByteCount: Int
    ) throws(ChunkingError) -> [UInt8] {
        guard (0...DeltaEncoder.targetByteCountMax).contains(rawByteCount),
            prefix.count <= DeltaEncoder.baseByteCountMax
        else {
            throw ChunkingError(.malformed, "a batch of \(rawByteCount) bytes against \(prefix.count) is too large")
        }
        let frame = DeltaFrame.magic + bytes
        var failure: ChunkingError?
        let raw = [UInt8](unsafeUninitializedCapacity: rawByteCount) { out, count in
            let room = UnsafeMutableRawBufferPointer(out)
            let written = frame.withUnsafeBytes { DeltaReader.shared.value.decode($0, prefix, into: room) }
            if ZSTD_isError(written) != 0 {
                failure = ChunkingError(.malformed, "a batch: zstd: \(String(cString: ZSTD_getErrorName(written)))")
            } else if written != rawByteCount {
                failure = ChunkingError(.malformed, "a batch of \(rawByteCount) bytes was decoded to \(written)")
            } else {
                count = written
            }
        }
        if let failure { throw failure }
        return raw
    }
}

/// A thread's decompression context.
private final class DeltaReader {
    static let shared = PerThread { DeltaReader() }
    private let context: OpaquePointer

    init() {
        guard let context = ZSTD_createDCtx() else { preconditionFailure("zstd: no memory for a context") }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Returns zstd's answer: a count, or an error.
    func decode(
        _ frame: UnsafeRawBufferPointer, _ prefix: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer
    ) -> Int {
        ZSTD_DCtx_refPrefix(context, prefix.baseAddress, prefix.count)
        let count = ZSTD_decompressDCtx(context, out.baseAddress, out.count, frame.baseAddress, frame.count)
        // The prefix is gone after this call: the context must not go on pointing to it, whatever became of the frame.
        ZSTD_DCtx_refPrefix(context, nil, 0)
        return count
    }
}
