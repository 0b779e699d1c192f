// SPDX-License-Identifier: Apache-2.0

public import Content

/// Wanted chunks that cross together, about a megabyte of them, against the chunks of bases that resemble them.
public struct DeltaBatch: Hashable, Sendable {
    /// The chunks, by their numbers among those that a request wants: a part needs no name.
    public let targets: Range<Int>
    /// The chunks to encode against, in order; no position twice.
    public let bases: [BasePosition]

    public init(targets: Range<Int>, bases: [BasePosition]) {
        self.targets = targets
        self.bases = bases
    }

    /// Encodes the batch.
    ///
    /// - Parameters:
    ///   - raw: its chunks, one after another.
    ///   - level: of zstd; ``EncodingEffort`` knows.
    ///   - sequences: of the bases, by their numbers.
    ///   - read: fills a buffer that is as long as a base's chunk with its bytes; false where they are not here: the
    ///     batch is then encoded without them.
    /// - Returns: the bases that are used, and the frame.
    /// - Throws: only what `read` throws.
    public func encode<E: Error>(
        _ raw: UnsafeRawBufferPointer, level: Int32, sequences: [ChunkSequence],
        read: (ChunkReference, UnsafeMutableRawBufferPointer) throws(E) -> Bool
    ) throws(E) -> (bases: [BasePosition], payload: [UInt8]) {
        let chunks = bases.map { sequences[$0.base].chunks[$0.position] }
        let prefix = try ChunkConcatenation(chunks, read: read)
        let used = zip(bases, prefix.isRead).filter(\.1).map(\.0)
        return (used, DeltaEncoder.encode(raw, prefix: prefix.bytes, level: level))
    }

    /// Decodes a batch to the concatenation of its chunks. Whoever calls checks each against its digest.
    ///
    /// - Parameters:
    ///   - bases: the batch's, in its order; together at most ``DeltaEncoder/baseByteCountMax`` bytes.
    ///   - rawByteCount: bytes of the batch's chunks together.
    ///   - read: fills a buffer that is as long as the chunk with the chunk's bytes.
    /// - Returns: an error where the bytes are no batch of that length, or the bases are too large.
    /// - Throws: only what `read` throws.
    public static func decode<E: Error>(
        _ bytes: some Collection<UInt8>, bases: [ChunkReference], rawByteCount: Int,
        read: (ChunkReference, UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) -> Result<[UInt8], ChunkingError> {
        guard bases.reduce(0, { $0 + Int($1.length) }) <= DeltaEncoder.baseByteCountMax else {
            return .failure(ChunkingError(.malformed, "a batch with too many bases"))
        }
        let prefix = try ChunkConcatenation(bases) { (chunk, buffer) throws(E) in
            try read(chunk, buffer)
            return true
        }
        do throws(ChunkingError) {
            return .success(try DeltaDecoder.decode(bytes, prefix: prefix.bytes, rawByteCount: rawByteCount))
        } catch {
            return .failure(error)
        }
    }
}

/// Chunks one after another in memory.
private struct ChunkConcatenation: ~Copyable {
    private let all: UnsafeMutableRawBufferPointer
    private let count: Int
    /// For each chunk whether it is among the bytes.
    let isRead: [Bool]
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: all[..<count]) }

    init<E: Error>(
        _ chunks: [ChunkReference], read: (ChunkReference, UnsafeMutableRawBufferPointer) throws(E) -> Bool
    ) throws(E) {
        let all = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, chunks.reduce(0) { $0 + Int($1.length) }), alignment: 16
        )
        var at = 0
        var isRead: [Bool] = []
        do throws(E) {
            for chunk in chunks {
                let room = UnsafeMutableRawBufferPointer(rebasing: all[at..<at + Int(chunk.length)])
                isRead.append(try read(chunk, room))
                if isRead.last == true { at += room.count }
            }
        } catch {
            all.deallocate()
            throw error
        }
        self.all = all
        self.isRead = isRead
        count = at
    }

    deinit { all.deallocate() }
}
