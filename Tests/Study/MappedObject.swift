// SPDX-License-Identifier: Apache-2.0

import Chunking
import Content
import Foundation
import ProbeSupport

/// A file as an ingest sees it: cut, digested, with its manifest.
final class MappedObject {
    let bytes: UnsafeRawBufferPointer
    let lists: [BlockList]
    let manifest: Manifest
    let sequence: ChunkSequence
    let offsets: [Int]
    /// Core-seconds of plain cuts, of container cuts, of digests.
    let plainSeconds: Double
    let cutSeconds: Double
    let digestSeconds: Double
    /// Where chunks are, by digest.
    private(set) var places: [Digest: Range<Int>] = [:]

    init(_ path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw ProbeError("cannot open \(path)") }
        defer { close(file) }
        let size = Int(lseek(file, 0, SEEK_END))
        guard size > 0, let map = mmap(nil, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0), map != MAP_FAILED
        else {
            throw ProbeError("cannot map \(path)")
        }
        bytes = UnsafeRawBufferPointer(start: map, count: size)
        var begin = ThreadTime.seconds
        var at = 0
        let plain = Cutter()
        while at < size, let length = plain.cut(UnsafeRawBufferPointer(rebasing: bytes[at...]), isEnd: true) {
            at += length
        }
        plainSeconds = ThreadTime.seconds - begin
        begin = ThreadTime.seconds
        at = 0
        var cutter = ContainerCutter()
        var ranges: [Range<Int>] = []
        while at < size, let length = cutter.cut(UnsafeRawBufferPointer(rebasing: bytes[at...]), isEnd: true) {
            ranges.append(at..<at + length)
            at += length
        }
        cutSeconds = ThreadTime.seconds - begin
        begin = ThreadTime.seconds
        var builder = ManifestBuilder()
        var lists: [BlockList] = []
        for range in ranges {
            let digest = Digest.sha256(of: UnsafeRawBufferPointer(rebasing: bytes[range]))
            places[digest] = range
            if let list = builder.append(ChunkReference(digest: digest, length: UInt32(range.count))) {
                lists.append(list)
            }
        }
        if let list = builder.finish() { lists.append(list) }
        digestSeconds = ThreadTime.seconds - begin
        self.lists = lists
        manifest = builder.manifest
        sequence = ChunkSequence(lists: lists)
        offsets = ranges.map(\.lowerBound)
    }

    func chunk(at position: Int) -> UnsafeRawBufferPointer {
        let start = offsets[position]
        return UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(sequence.chunks[position].length)])
    }

    func chunk(_ digest: Digest) -> UnsafeRawBufferPointer? {
        places[digest].map { UnsafeRawBufferPointer(rebasing: bytes[$0]) }
    }
}
