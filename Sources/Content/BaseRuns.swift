// SPDX-License-Identifier: Apache-2.0

/// A sequence of references coded against bases that both sides hold: runs that are in a base cost a byte or two, what
/// is new is spelled out by the caller.
///
/// Format, a token a run: count `n << 2 | kind`; kind 0: `n` that go on where the last run ended; 1: in the same base,
/// after a signed step; 2: base number and position; 3: `n` new ones, each as the caller writes it.
struct BaseRunWriter {
    let bases: [ChunkSequence]
    var out = ByteWriter()
    var cursor = BaseCursor()

    init(bases: [ChunkSequence]) { self.bases = bases }

    /// Appends references; `new` appends one that no base has, with the reference that was expected in its place.
    mutating func append(
        _ references: [ChunkReference], new: (inout ByteWriter, ChunkReference, ChunkReference?) -> Void
    ) {
        var at = 0
        var fresh = 0
        while at < references.count {
            guard let place = cursor.find(references[at], in: bases) else {
                fresh += 1
                at += 1
                // The cursor stays in step with the reader's, which passes new ones as it reads them.
                cursor.passedNew()
                continue
            }
            appendNew(references[(at - fresh)..<at], new)
            fresh = 0
            let count = bases[place.base].matchCount(
                at: place.position, with: references, from: at, to: references.count)
            appendKnown(count, at: place)
            at += count
        }
        appendNew(references[(at - fresh)..<at], new)
    }

    private mutating func appendKnown(_ count: Int, at place: BasePosition) {
        if place == cursor.next {
            out.count(count << 2)
        } else if place.base == cursor.next.base {
            out.count(count << 2 | 1)
            out.signed(place.position - cursor.next.position)
        } else {
            out.count(count << 2 | 2)
            out.count(place.base)
            out.count(place.position)
        }
        cursor.passed(place, count: count)
    }

    private mutating func appendNew(
        _ references: ArraySlice<ChunkReference>, _ new: (inout ByteWriter, ChunkReference, ChunkReference?) -> Void
    ) {
        guard !references.isEmpty else { return }
        out.count(references.count << 2 | 3)
        let first = cursor.next.position - references.count
        for (i, reference) in references.enumerated() {
            new(&out, reference, bases.reference(at: BasePosition(base: cursor.next.base, position: first + i)))
        }
    }
}

/// Reads what ``BaseRunWriter`` wrote, from bytes that nobody trusts.
struct BaseRunReader {
    let bases: [ChunkSequence]
    var input: ByteReader
    private var cursor = BaseCursor()

    init(_ bytes: [UInt8], bases: [ChunkSequence]) {
        self.bases = bases
        input = ByteReader(bytes)
    }

    /// Reads `count` references, run by run; `new` reads one that is in no base.
    mutating func read(
        _ count: Int,
        known: (ChunkReference) throws(ContentError) -> Void,
        new: (inout ByteReader, ChunkReference?) throws(ContentError) -> Void
    ) throws(ContentError) {
        var left = count
        while left > 0 {
            let token = try input.count(max: left << 2 | 3)
            let run = token >> 2
            guard run > 0, run <= left else { throw ContentError(.malformed, "a run of \(run) where \(left) are due") }
            left -= run
            if token & 3 == 3 {
                for _ in 0..<run {
                    try new(&input, bases.reference(at: cursor.next))
                    cursor.passedNew()
                }
                continue
            }
            var place = cursor.next
            if token & 3 == 1 {
                let (position, overflow) = place.position.addingReportingOverflow(try input.signed())
                guard !overflow else { throw ContentError(.malformed, "a step beyond all numbers") }
                place.position = position
            } else if token & 3 == 2 {
                place = BasePosition(base: try input.count(max: bases.count), position: try input.count(max: 1 << 32))
            }
            guard place.base < bases.count, place.position >= 0,
                place.position <= bases[place.base].count, run <= bases[place.base].count - place.position
            else {
                throw ContentError(.malformed, "a run of \(run) at \(place.position) is in no base")
            }
            for at in place.position..<place.position + run { try known(bases[place.base].chunks[at]) }
            cursor.passed(place, count: run)
        }
    }
}

extension [ChunkSequence] {
    /// The reference at a position, or nil where there is none.
    func reference(at place: BasePosition) -> ChunkReference? {
        guard place.base < count, place.position >= 0, place.position < self[place.base].count else { return nil }
        return self[place.base].chunks[place.position]
    }
}
