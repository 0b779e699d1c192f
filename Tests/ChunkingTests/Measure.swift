import Chunking
import Content
import Foundation
import Testing

@Test(.enabled(if: ProcessInfo.processInfo.environment["LARDER_MEASURE"] != nil)) func measure() throws {
    let data = [UInt8](try Data(contentsOf: URL(fileURLWithPath: ProcessInfo.processInfo.environment["LARDER_MEASURE"]!)).prefix(512 << 20))
    func time(_ what: String, _ body: () -> Void) {
        let begin = ContinuousClock.now; body(); let s = (ContinuousClock.now - begin) / .seconds(1)
        print("MEASURE", what, Double(data.count) / s / 1e9, "GB/s")
    }
    for _ in 0..<3 {
    var lengths: [Int] = []
    time("cut") { lengths = cuts(data) }
    print(lengths.count, data.count / lengths.count)
    data.withUnsafeBytes { all in
        var sum: UInt64 = 0
        time("sha") { var at = 0; for l in lengths { sum ^= Digest.sha256(of: UnsafeRawBufferPointer(rebasing: all[at..<at+l])).prefix; at += l } }
        let out = UnsafeMutableRawBufferPointer.allocate(byteCount: 600_000, alignment: 64)
        let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: data.count, alignment: 64)
        var places: [(Codec, Int, Int)] = []
        var pos = 0
        time("zstd-1") { var at = 0; for l in lengths {
            let room = UnsafeMutableRawBufferPointer(rebasing: stored[pos..<min(pos+l, stored.count)])
            let (c, n) = Compressor.withShared { $0.compress(UnsafeRawBufferPointer(rebasing: all[at..<at+l]), into: room) }
            if c == .zstd { places.append((c, pos, n)); pos += n } else { UnsafeMutableRawBufferPointer(rebasing: stored[pos..<pos+l]).copyMemory(from: UnsafeRawBufferPointer(rebasing: all[at..<at+l])); places.append((c,pos,l)); pos += l }
            at += l } }
        print("ratio", Double(pos) / Double(data.count), "plain", places.filter { $0.0 == .plain }.count, places.count)
        time("unzstd") { for (i, l) in lengths.enumerated() {
            try? Decompressor.withShared { d throws(ChunkingError) in try d.decompress(places[i].0, UnsafeRawBufferPointer(rebasing: stored[places[i].1..<places[i].1+places[i].2]), into: UnsafeMutableRawBufferPointer(rebasing: out[..<l])) } } }
        print(sum)
    }
    }
}
