// SPDX-License-Identifier: Apache-2.0

public import Chunking
public import Content

/// Chunks that a request named, one after the other, as one zstd frame whose prefix is the bases one after the other.
///
/// Nothing in it names a digest: the receiver knows which chunks it asked for and in which order, and finds out by the
/// bytes themselves whether they are right.
///
/// Body: number of the first part and count of parts, then the bases as ``BasePositions`` says, then the zstd frame.
public struct DeltaFrame: Sendable, Hashable {
    /// The most parts of a batch: bodies of small files have chunks of a few hundred bytes.
    public static let partsMax = 4096

    /// The parts, by their numbers among the chunks of the request.
    public let parts: Range<Int>
    /// The bases and the zstd frame: to be read by who knows the bases.
    private let content: [UInt8]

    public init(parts: Range<Int>, bases: [BasePosition], payload: [UInt8]) {
        self.parts = parts
        var content = ByteWriter(reserving: payload.count + 8 + bases.count * 2)
        BasePositions.write(bases, to: &content)
        content.raw(payload)
        self.content = content.bytes
    }

    /// The chunks that are the prefix, in order, and the zstd frame.
    ///
    /// - Parameter bases: of the request; those that the sender does not have are empty.
    /// - Throws: ``ContentError`` where they name what the bases do not have.
    public func open(
        against bases: [ChunkSequence]
    ) throws(ContentError) -> (bases: [ChunkReference], payload: ArraySlice<UInt8>) {
        var reader = ByteReader(content)
        let positions = try BasePositions.read(&reader, bases: bases)
        return (positions.map { bases[$0.base].chunks[$0.position] }, try reader.raw(reader.remaining))
    }

    func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: content.count + 8)
        out.count(parts.lowerBound)
        out.count(parts.count)
        out.raw(content)
        return out.bytes
    }

    init(decoding body: inout ByteReader) throws(ContentError) {
        let first = try body.count(max: DeltaRequest.selectionsMax * BlockList.chunkCountMax)
        let count = try body.count(max: DeltaFrame.partsMax)
        guard count > 0 else { throw ContentError(.malformed, "a batch of no chunks") }
        parts = first..<first + count
        content = Array(try body.raw(body.remaining))
    }
}

/// The answer to a request for a manifest or for skeletons, compressed as a whole.
///
/// Body: `u8` a bit for each base that it is coded against, in the request's order, `u8` codec, `u32` length decoded,
/// payload.
public struct MessageFrame: Sendable, Hashable {
    /// zstd's level: messages are short, and every byte of them is waited for.
    static let level: Int32 = 9

    /// Which of the request's bases are used: the others are unknown to the sender, and to be taken as empty.
    public let usedBases: UInt8
    public let codec: Codec
    public let rawLength: Int
    public let payload: [UInt8]

    public init(usedBases: UInt8, codec: Codec, rawLength: Int, payload: [UInt8]) {
        self.usedBases = usedBases
        self.codec = codec
        self.rawLength = rawLength
        self.payload = payload
    }

    /// Compresses a message.
    init(usedBases: UInt8, raw: [UInt8]) {
        var packed = [UInt8](repeating: 0, count: Compressor.bound(raw.count))
        let (codec, count) = raw.withUnsafeBytes { source in
            packed.withUnsafeMutableBytes { Compressor(level: MessageFrame.level).compress(source, into: $0) }
        }
        let payload = codec == .plain ? raw : Array(packed[..<count])
        self.init(usedBases: usedBases, codec: codec, rawLength: raw.count, payload: payload)
    }

    /// The message.
    ///
    /// - Throws: ``PeersError`` `lying` where the bytes do not decode to the length that they claim.
    func raw() throws(PeersError) -> [UInt8] {
        try ChunkVerifier.decode(codec, payload, count: rawLength)
    }

    func encoded() -> [UInt8] {
        var out = ByteWriter(reserving: payload.count + 6)
        out.fixed(usedBases)
        out.fixed(codec.rawValue)
        out.fixed(UInt32(rawLength))
        out.raw(payload)
        return out.bytes
    }

    init(decoding body: inout ByteReader, rawMax: Int) throws(ContentError) {
        usedBases = try body.fixed()
        let number = try body.fixed(UInt8.self)
        guard let codec = Codec(rawValue: number) else {
            throw ContentError(.unsupported, "unknown codec \(number) of a message")
        }
        self.codec = codec
        rawLength = Int(try body.fixed(UInt32.self))
        guard rawLength <= rawMax else {
            throw ContentError(.malformed, "a message has \(rawLength) bytes and may have \(rawMax)")
        }
        payload = Array(try body.raw(body.remaining))
    }
}
