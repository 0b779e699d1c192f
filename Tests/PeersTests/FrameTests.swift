// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Peers
import Storage
import Testing

@Suite("Frames: what was encoded is decoded, and nothing else is")
struct FrameTests {
    private func frames(_ random: inout Random) -> [Frame] {
        let raw = random.bytes(3000) + [UInt8](repeating: 5, count: 5000)
        let digest = Digest.sha256(of: raw)
        let stored = StoredFrame(digest: digest, kind: .data, codec: .plain, rawLength: raw.count, payload: raw)
        let parts = [raw.count - 10, 10].map { BatchFrame.Part(digest: digest, kind: .blockList, length: $0) }
        return [
            .working, .stored(stored), .absent([digest, digest]), .batch(BatchFrame(parts: parts, raw: raw)), .end,
            .message(MessageFrame(usedBases: 5, codec: .plain, rawLength: 3000, payload: Array(raw[..<3000]))),
            .delta(DeltaFrame(parts: 7..<9, bases: [BasePosition(base: 1, position: 900)], payload: raw)),
        ]
    }

    private func describe(_ frames: [Frame]) -> [String] { frames.map { "\($0)" } }

    @Test("Frames survive any division of the stream, whole and in pieces", arguments: [false, true])
    func divisions(inPieces: Bool) throws {
        var random = Random("divisions")
        let frames = frames(&random)
        for _ in 0..<50 {
            var bytes: [UInt8] = []
            for frame in frames {
                let encoded = FrameEncoder().encode(frame)
                guard inPieces else {
                    bytes += encoded
                    continue
                }
                var rest = encoded[...]
                while !rest.isEmpty {
                    let piece = rest.prefix(Int.random(in: 1...1000, using: &random))
                    bytes += FrameEncoder().encode(piece: piece)
                    rest = rest.dropFirst(piece.count)
                }
            }
            var decoder = FrameDecoder(lengthMax: 1 << 18)
            var found: [Frame] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let part = rest.prefix(Int.random(in: 1...4000, using: &random))
                rest = rest.dropFirst(part.count)
                decoder.append(part)
                while let frame = try decoder.next() { found.append(frame) }
            }
            #expect(describe(found) == describe(frames))
            #expect(decoder.pendingByteCount == 0)
        }
    }

    @Test("A paced server may say between pieces that it works, and nothing else")
    func workingBetweenPieces() throws {
        var random = Random("between pieces")
        let stored = FrameEncoder().encode(frames(&random)[1])
        var decoder = FrameDecoder(lengthMax: 1 << 18)
        decoder.append(FrameEncoder().encode(piece: stored[..<100]))
        decoder.append(FrameEncoder().encode(.working))
        if case .working = try decoder.next() {} else { Issue.record("not working") }
        decoder.append(FrameEncoder().encode(piece: stored[100...]))
        if case .stored = try decoder.next() {} else { Issue.record("not stored") }
        decoder.append(FrameEncoder().encode(piece: stored[..<100]))
        decoder.append(FrameEncoder().encode(.end))
        #expect(throws: ContentError.self) { try decoder.next() }
    }

    @Test("Changed and random bytes are frames or errors, never a trap, and never a false chunk")
    func fuzz() throws {
        var random = Random("frame fuzz")
        let frames = frames(&random)
        let good = frames.flatMap { FrameEncoder().encode($0) }
        for round in 0..<2000 {
            var bytes = round % 4 == 0 ? random.bytes(Int.random(in: 0...200, using: &random)) : good
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if round % 3 == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random)) }
            var decoder = FrameDecoder(lengthMax: 1 << 18)
            decoder.append(bytes)
            let digests = frames.flatMap { frame -> [Digest] in
                if case .stored(let stored) = frame { [stored.digest] } else { [] }
            }
            let request = ChunkRequest(manifest: digests[0], chunks: digests, level: .store, priority: .reader)
            var verifier = ChunkVerifier(request)
            do {
                while let frame = try decoder.next() {
                    for chunk in try verifier.verify(frame) { #expect(Digest.sha256(of: chunk.raw) == chunk.digest) }
                }
            } catch is ContentError {
            } catch is PeersError {}
        }
    }

    @Test("A request is decoded as it was encoded; random bytes and a level for readers only are refused")
    func requests() throws {
        var random = Random("requests")
        let digests = (0..<20).map { _ in Digest.sha256(of: random.bytes(4)) }
        let request = ChunkRequest(manifest: digests[0], chunks: digests, level: .gateway, priority: .hinted)
        let again = try ChunkRequest(decoding: request.encoded(), digestsMax: 20)
        #expect(again.chunks == digests && again.id == request.id && again.level == .gateway)
        #expect(throws: ContentError.self) { try ChunkRequest(decoding: request.encoded(), digestsMax: 19) }
        let reader = ChunkRequest(manifest: digests[0], chunks: digests, level: .reader, priority: .reader)
        #expect(throws: ContentError.self) { try ChunkRequest(decoding: reader.encoded(), digestsMax: 20) }
        for _ in 0..<1000 {
            var bytes = request.encoded()
            bytes[Int.random(in: 0..<60, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            _ = try? ChunkRequest(decoding: bytes, digestsMax: 20)
            _ = try? ChunkRequest(decoding: random.bytes(50), digestsMax: 20)
        }
    }
}
