// SPDX-License-Identifier: Apache-2.0

import Content

/// Where in an object its blocks lie: a manifest with running offsets.
struct BlockMap: Sendable {
    let digest: Digest
    let manifest: Manifest
    /// Offset of each block, and the size at the end.
    private let offsets: [UInt64]

    init(digest: Digest, manifest: Manifest) {
        self.digest = digest
        self.manifest = manifest
        var offsets: [UInt64] = [0]
        offsets.reserveCapacity(manifest.blocks.count + 1)
        for block in manifest.blocks { offsets.append(offsets[offsets.count - 1] + block.length) }
        self.offsets = offsets
    }

    var count: Int { manifest.blocks.count }

    /// Offset of a block in the object.
    func offset(of block: Int) -> UInt64 { offsets[block] }

    /// The block that holds the byte at `offset`, which is below the size.
    func block(at offset: UInt64) -> Int {
        var low = 0
        var high = offsets.count - 1
        while high - low > 1 {
            let middle = (low + high) / 2
            if offsets[middle] <= offset { low = middle } else { high = middle }
        }
        return low
    }

    /// The blocks that hold any of `count` bytes from `offset`.
    func blocks(offset: UInt64, count: Int) -> Range<Int> {
        guard offset < manifest.size, count > 0 else { return 0..<0 }
        let last = min(manifest.size, offset + UInt64(count)) - 1
        return block(at: offset)..<block(at: last) + 1
    }
}
