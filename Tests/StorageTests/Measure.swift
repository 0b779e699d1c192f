import Chunking
import Content
import Foundation
import Storage
import Testing

@Test(.enabled(if: ProcessInfo.processInfo.environment["LARDER_MEASURE"] != nil)) func measure() throws {
    let data = [UInt8](try Data(contentsOf: URL(fileURLWithPath: ProcessInfo.processInfo.environment["LARDER_MEASURE"]!)))
    let directory = try TemporaryDirectory()
    let store = try directory.open(quota: 100 << 30, segmentByteCount: 256 << 20)
    func time(_ what: String, _ body: () throws -> Void) rethrows {
        let begin = ContinuousClock.now; try body(); let s = (ContinuousClock.now - begin) / .seconds(1)
        print("MEASURE", what, Double(data.count) / s / 1e9, "GB/s", s, "s")
    }
    let cutter = Cutter()
    var refs: [(Digest, Int)] = []
    try data.withUnsafeBytes { all in
        try time("ingest new, 1 core") {
            var at = 0
            while at < all.count {
                let n = cutter.cut(UnsafeRawBufferPointer(rebasing: all[at...]), isEnd: true)!
                let c = UnsafeRawBufferPointer(rebasing: all[at..<at+n])
                let d = Digest.sha256(of: c)
                if !store.chunks.contains(d) { _ = try store.chunks.insert(d, kind: .data, raw: c) }
                refs.append((d, n)); at += n
            }
        }
    }
    print("MEASURE stats", store.chunks.statistics)
    let out = UnsafeMutableRawBufferPointer.allocate(byteCount: 262144, alignment: 64)
    for _ in 0..<3 { try time("store read") { for (d, _) in refs { _ = try store.chunks.read(d, into: out) } } }
    let plain = refs.filter { try! store.chunks.readStored($0.0)!.codec == .plain }
    var bytes = 0
    let b = ContinuousClock.now
    for _ in 0..<5 { for (d, n) in plain { _ = try store.chunks.read(d, into: out); bytes += n } }
    print("MEASURE plain read", Double(bytes) / ((ContinuousClock.now - b) / .seconds(1)) / 1e9)
    let b2 = ContinuousClock.now
    var hit = 0
    for _ in 0..<50 { for (d, _) in refs where store.chunks.length(of: d) != nil { hit += 1 } }
    print("MEASURE lookup ns", (ContinuousClock.now - b2) / .nanoseconds(1) / Double(hit))
    try time("sync") { try store.chunks.sync() }
    try time("sweep keep all") { _ = try store.chunks.sweep { k in for (d, _) in refs { k(d) } } }
    try store.close()
    let many = try TemporaryDirectory()
    var big: Store? = try many.open(quota: 100 << 30, segmentByteCount: 256 << 20)
    let count = 5_000_000
    let b3 = ContinuousClock.now
    for i in 0..<count {
        try withUnsafeBytes(of: i) { raw in
            let d = Digest.sha256(of: raw)
            _ = try big!.chunks.insert(d, kind: .data, codec: .plain, rawLength: 8, payload: raw)
        }
    }
    print("MEASURE insert us", (ContinuousClock.now - b3) / .microseconds(1) / Double(count))
    let crashed = try TemporaryDirectory(copyOf: many)
    try time("close 5M") { try big!.close() }
    big = nil
    try time("open 5M clean") { big = try many.open(quota: 100 << 30, segmentByteCount: 256 << 20) }
    try time("sweep half of 5M") { print(try big!.chunks.sweep { k in for i in 0..<count/2 { withUnsafeBytes(of: i) { k(Digest.sha256(of: $0)) } } }) }
    try time("open 5M killed") { _ = try crashed.open(quota: 100 << 30, segmentByteCount: 256 << 20) }
}
