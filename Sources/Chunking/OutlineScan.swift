// SPDX-License-Identifier: Apache-2.0

/// Finds the members of tars in parts of an object, without the rest of it: the chunks that two objects do not share,
/// which the sender reads for their sketches anyway.
///
/// Every header of a tar, and of a tar in it, lies at a multiple of 512 bytes from the object's start and carries its
/// own checksum, so it is found wherever one looks. A member whose header lies in no part that was given is not found.
public struct OutlineScan: Sendable {
    private var members: [Outline.Member] = []
    /// What the headers before this one said of the next member.
    private var about = About()

    private struct About: Sendable {
        /// Where the first of these headers begins.
        var start: UInt64?
        /// Where the header that they are about is due.
        var next: UInt64 = 0
        var path: [UInt8]?
        var size: UInt64?
    }

    public init() {}

    /// Looks at a part of the object.
    ///
    /// - Parameters:
    ///   - bytes: a chunk.
    ///   - offset: where it begins in the object; above those of all parts before.
    public mutating func add(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
        var at = Int(TarHeader.padded(offset) - offset)
        while at + tarBlock <= bytes.count, members.count < Outline.memberCountMax {
            let block = UnsafeRawBufferPointer(rebasing: bytes[at..<at + tarBlock])
            // "ustar" at 257: old V7 headers are not looked for, nobody writes them.
            if block.little32(257) == 0x6174_7375, let header = TarHeader(block) {
                take(header, block, bytes, at, offset)
            }
            at += tarBlock
        }
    }

    private mutating func take(
        _ header: TarHeader, _ block: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer, _ at: Int,
        _ offset: UInt64
    ) {
        let here = offset + UInt64(at)
        // A body that begins with a header is a tar of its own: its members stand for it.
        if let last = members.last, last.body == here, last.end > here { members.removeLast() }
        if about.next != here { about = About() }
        let body = here + UInt64(tarBlock)
        if header.isAbout {
            let (next, overflow) = body.addingReportingOverflow(TarHeader.padded(header.size))
            guard !overflow, header.size <= PaxRecords.byteCountMax else { return }
            about.start = about.start ?? here
            about.next = next
            let start = at + tarBlock
            guard start + Int(header.size) <= bytes.count else { return }
            let text = UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(header.size)])
            switch header.type {
            case UInt8(ascii: "x"):
                let records = PaxRecords(text)
                about.path = records.path ?? about.path
                about.size = records.size ?? about.size
            case UInt8(ascii: "L"): about.path = Array(text.prefix { $0 != 0 })
            default: break
            }
            return
        }
        let size = header.bodySize(pax: about.size)
        members.append(
            Outline.Member(
                pathHash: Outline.pathHash(about.path ?? TarHeader.path(block)),
                header: about.start ?? here,
                body: body,
                end: body.addingReportingOverflow(size).overflow ? .max : body + size
            )
        )
        about = About()
    }

    /// Takes what another scan found in parts after this one's.
    public mutating func append(_ later: OutlineScan) {
        if let last = members.last, let first = later.members.first, last.body == first.header, last.end > last.body {
            members.removeLast()
        }
        members += later.members.prefix(Outline.memberCountMax - members.count)
    }

    /// The members found so far that have bytes in a range of the object.
    func members(covering range: Range<UInt64>) -> ArraySlice<Outline.Member> { members.covering(range) }

    /// What was found, or nil where there was nothing.
    public func finish() -> Outline? { members.isEmpty ? nil : Outline(members: members) }
}

extension TarHeader {
    /// The path in a header: name, and in ustar the prefix before it.
    static func path(_ block: UnsafeRawBufferPointer) -> [UInt8] {
        let name = block[0..<100].prefix { $0 != 0 }
        // GNU's own format has times where ustar has the prefix; the byte after "ustar" tells them apart.
        let prefix = block[262] == 0 ? block[345..<500].prefix { $0 != 0 } : block[0..<0]
        return prefix.isEmpty ? Array(name) : Array(prefix) + [UInt8(ascii: "/")] + Array(name)
    }
}
