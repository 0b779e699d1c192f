// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Testing

/// Where chunks end, the object given in one go.
func containerCuts(_ bytes: [UInt8]) -> [Int] {
    var cutter = ContainerCutter()
    var ends: [Int] = []
    bytes.withUnsafeBytes { all in
        var at = 0
        while at < all.count, let length = cutter.cut(UnsafeRawBufferPointer(rebasing: all[at...]), isEnd: true) {
            at += length
            ends.append(at)
        }
    }
    return ends
}

private func digests(_ bytes: [UInt8]) -> [Digest] {
    var at = 0
    return containerCuts(bytes).map { end in
        defer { at = end }
        return Digest.sha256(of: Array(bytes[at..<end]))
    }
}

/// Bodies on both sides of the length from which they are cut.
private func layer(_ generator: inout Seeded, time: Int, _ bodies: [[UInt8]]) -> TarFixture {
    var tar = TarFixture()
    for (i, body) in bodies.enumerated() { tar.add("usr/lib/file\(i)", body, time: time) }
    tar.end()
    return tar
}

@Suite struct ContainerCutterTests {
    private static let large = ContainerCutter.bodyLengthMin

    private static func expectCuts(_ ends: [Int], around bodies: [Range<Int>], in bytes: [UInt8]) {
        #expect(ends.last == bytes.count)
        let ends = Set(ends)
        for body in bodies where body.count >= large + 512 {
            #expect(
                ends.contains(body.lowerBound) && ends.contains(body.upperBound), "a body at \(body) is not cut out")
        }
    }

    @Test func bodiesOfATarBeginAndEndChunks() {
        var generator = Seeded("bodiesOfATarBeginAndEndChunks")
        let bodies = (0..<60).map { _ in
            generator.some(Int.random(in: 0...3 * ContainerCutterTests.large, using: &generator))
        }
        let tar = layer(&generator, time: 1, bodies)
        ContainerCutterTests.expectCuts(containerCuts(tar.bytes), around: tar.bodies, in: tar.bytes)
    }

    @Test func headersOfEveryKindAreFollowed() {
        var generator = Seeded("headersOfEveryKindAreFollowed")
        let body = generator.bytes(50_000)
        var tar = TarFixture()
        tar.addRecords("g", ["comment": "everything"])
        tar.addLong(String(repeating: "long/", count: 40), body, isPax: true)
        tar.addLong(String(repeating: "long/", count: 40), body, isPax: false)
        tar.add("link", [], type: "2")
        tar.add("huge", body, size: .base256)
        tar.add("larger", body, size: .pax)
        tar.addSparse("sparse", body)
        tar.add("last", body)
        tar.end()
        ContainerCutterTests.expectCuts(containerCuts(tar.bytes), around: tar.bodies, in: tar.bytes)
    }

    /// What `docker save` writes: layers as tars in a tar, under names that change, in an order that changes.
    @Test func newTimesAndAnotherOrderOfLayersSpoilNoLargeBody() {
        var generator = Seeded("newTimesAndAnotherOrderOfLayersSpoilNoLargeBody")
        let layers = (0..<3).map { _ in (0..<20).map { _ in generator.some(80_000) } }
        func image(_ order: [Int], _ time: Int, _ name: (Int) -> String) -> [UInt8] {
            var image = TarFixture()
            for i in order {
                image.add(name(i), layer(&generator, time: time, layers[i]).bytes, time: time)
                image.add("\(i)/json", Array("{\"id\":\(i),\"time\":\(time)}".utf8))
            }
            image.end()
            return image.bytes
        }
        let old = digests(image([0, 1, 2], 1_700_000_000, { "\($0)/layer.tar" }))
        let new = digests(image([2, 0, 1], 1_700_009_999, { "blobs/sha256/\($0 + 100)" }))
        let known = Set(old)
        // Of a body only those under the length share a chunk with a header.
        let fresh = new.filter { !known.contains($0) }.count
        let small = layers.joined().filter { $0.count < ContainerCutterTests.large }.count
        #expect(fresh <= 3 * 20 + 3 * 3 + small, "\(fresh) of \(new.count) chunks are new")
        #expect(new.count > 100)
        #expect(new.count - fresh >= layers.joined().count - small)
    }

    @Test(arguments: [(false, false), (true, false), (true, true)])
    func bodiesAndDirectoryOfAZipAreApart(hasDescriptor: Bool, isZip64: Bool) {
        var generator = Seeded("bodiesAndDirectoryOfAZipAreApart")
        var zip = ZipFixture()
        for i in 0..<40 {
            let body = generator.some(Int.random(in: 0...3 * ContainerCutterTests.large, using: &generator))
            zip.add("dir/file\(i)", body, hasDescriptor: hasDescriptor, isZip64: isZip64)
        }
        let directory = zip.end()
        let ends = containerCuts(zip.bytes)
        ContainerCutterTests.expectCuts(ends, around: zip.bodies.filter { $0.count >= 50_000 }, in: zip.bytes)
        #expect(ends.contains(directory))
    }

    /// P1 of the cuts: whatever the bytes are, chunks are the object, and it does not matter how they were fed.
    @Test(.timeLimit(.minutes(5)))
    func damagedContainersAreCutTheSameHoweverTheyAreFed() {
        var generator = Seeded("damagedContainersAreCutTheSameHoweverTheyAreFed")
        for round in 0..<100 {
            var bytes = ContainerCutterTests.container(round, &generator)
            for _ in 0..<Int.random(in: 0...4, using: &generator) { ContainerCutterTests.damage(&bytes, &generator) }
            let whole = containerCuts(bytes)
            #expect(bytes.isEmpty || whole.last == bytes.count)
            var last = 0
            for end in whole {
                #expect((1...Cutter.lengthMax).contains(end - last))
                last = end
            }
            #expect(ContainerCutterTests.fed(bytes, &generator) == whole, "round \(round)")
        }
    }

    /// A zip in a tar whose last body never ends: what comes after the zip is not looked at for its end.
    @Test func aBodyWithoutEndEndsWithItsContainer() {
        var generator = Seeded("aBodyWithoutEndEndsWithItsContainer")
        for length in [20_000, 32 << 10, 33_000, 100_000, 700_000] {
            var zip = ZipFixture()
            zip.add("first", generator.bytes(40_000), hasDescriptor: true)
            zip.add("last", generator.bytes(length), hasDescriptor: true)
            var tar = TarFixture()
            // Its last descriptor is gone, and the next member begins with what would be one.
            tar.add("cache.zip", Array(zip.bytes.dropLast(16)))
            tar.add("other", [0x50, 0x4b, 7, 8] + generator.bytes(200_000))
            tar.end()
            let whole = containerCuts(tar.bytes)
            ContainerCutterTests.expectCuts(whole, around: tar.bodies, in: tar.bytes)
            for _ in 0..<8 { #expect(ContainerCutterTests.fed(tar.bytes, &generator) == whole, "length \(length)") }
        }
    }

    private static func container(_ round: Int, _ generator: inout Seeded) -> [UInt8] {
        let bodies = (0..<12).map { _ in generator.some(Int.random(in: 0...150_000, using: &generator)) }
        if round % 4 < 2 {
            var zip = ZipFixture()
            for (i, body) in bodies.enumerated() {
                zip.add("file\(i)", body, hasDescriptor: Bool.random(using: &generator), isZip64: i % 2 == 0)
            }
            _ = zip.end()
            guard round % 4 == 1 else { return zip.bytes }
            // A zip may end anywhere in a tar's member, with or without its directory.
            let kept = Bool.random(using: &generator) ? 1 : Double.random(in: 0.2...1, using: &generator)
            var tar = TarFixture()
            tar.add("cache.zip", Array(zip.bytes.prefix(Int(Double(zip.bytes.count) * kept))))
            for (i, body) in bodies.prefix(3).enumerated() { tar.add("file\(i)", body) }
            tar.end()
            return tar.bytes
        }
        let inner = layer(&generator, time: round, bodies)
        guard round % 4 == 2 else { return inner.bytes }
        var tar = TarFixture()
        tar.addLong(String(repeating: "n", count: 150), inner.bytes, isPax: round % 8 == 2)
        tar.add("0/layer.tar", inner.bytes, size: .base256)
        tar.end()
        return tar.bytes
    }

    private static func damage(_ bytes: inout [UInt8], _ generator: inout Seeded) {
        guard bytes.count > 2048 else { return }
        let at = Int.random(in: 0..<bytes.count - 1024, using: &generator)
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: bytes[at] ^= UInt8.random(in: 1...255, using: &generator)
        case 1: bytes.removeSubrange(at..<at + Int.random(in: 1...1000, using: &generator))
        case 2: bytes.insert(contentsOf: generator.some(400), at: at)
        case 3: bytes.removeLast(Int.random(in: 1...bytes.count / 2, using: &generator))
        // A header's own bytes: its sizes and marks.
        default: bytes[at / 512 * 512 + Int.random(in: 100..<160, using: &generator)] = UInt8(ascii: "7")
        }
    }

    private static func fed(_ bytes: [UInt8], _ generator: inout Seeded) -> [Int] {
        var cutter = ContainerCutter()
        var ends: [Int] = []
        bytes.withUnsafeBytes { all in
            var at = 0
            var given = 0
            while at < all.count {
                let part = UnsafeRawBufferPointer(rebasing: all[at..<given])
                if let length = cutter.cut(part, isEnd: given == all.count && Bool.random(using: &generator)) {
                    at += length
                    ends.append(at)
                } else {
                    #expect(part.count < ContainerCutter.lookAhead || given == all.count)
                    if given == all.count {
                        guard let length = cutter.cut(part, isEnd: true) else { return }
                        at += length
                        ends.append(at)
                    }
                    given = min(all.count, given + Int.random(in: 1...200_000, using: &generator))
                }
            }
        }
        return ends
    }

    /// Part of the format: other cuts need another algorithm number.
    @Test func cutsAreWhatTheyWere() {
        var generator = Seeded("cutsAreWhatTheyWere", seed: 7)
        let bodies = [10_000, 40_000, 300_000, 32_768, 32_767].map { generator.bytes($0) }
        let inner = layer(&generator, time: 1, bodies)
        var tar = TarFixture()
        tar.add("0/layer.tar", inner.bytes)
        tar.end()
        #expect(containerCuts(tar.bytes) == ContainerCutterTests.known)
        #expect(ContainerCutter.algorithm == 2)
    }

    private static let known = [
        512, 11776, 52224, 52736, 132_999, 219_697, 288_460, 352_768, 353_280, 386_048, 420_352, 421_376,
    ]

    @Test func whatIsNoContainerHasPlainCuts() {
        var generator = Seeded("whatIsNoContainerHasPlainCuts")
        let bytes = generator.bytes(3 << 20)
        var at = 0
        #expect(
            containerCuts(bytes)
                == cuts(bytes).map {
                    at += $0; return at
                })
        #expect(containerCuts([]) == [])
        #expect(containerCuts([1]) == [1])
    }
}
