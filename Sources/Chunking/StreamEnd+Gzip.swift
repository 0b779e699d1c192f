// SPDX-License-Identifier: Apache-2.0

import CZlib

extension StreamEnd {
    private static let gzipInputByteCount = 128 << 10
    private static let gzipOutputByteCount = 64 << 10
    /// zlib's window of 32 KiB, plus 16: a gzip wrapper, whose checksum zlib verifies.
    private static let gzipWindowBits: Int32 = 15 + 16

    /// Inflates member after member: a deflate stream says where it ends nowhere else.
    static func checkGzip<E: Error>(
        size: UInt64, read: (UInt64, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> StreamEnd {
        let input = UnsafeMutableRawBufferPointer.allocate(byteCount: gzipInputByteCount, alignment: 16)
        defer { input.deallocate() }
        let inflater = Inflater(outputByteCount: gzipOutputByteCount)
        guard inflater.start(windowBits: gzipWindowBits) else { return .unknown }
        var at: UInt64 = 0
        var isWithinMember = true
        while at < size {
            let count = try fill(input, at: at, of: size, read)
            guard count > 0 else { break }
            at += UInt64(count)
            var rest = UnsafeRawBufferPointer(rebasing: input[0..<count])
            while !rest.isEmpty {
                if !isWithinMember {
                    // gzip ignores what follows a member and is no member: zero padding, or anything else.
                    guard rest[0] == 0x1f else { return .whole }
                    inflater.reset()
                    isWithinMember = true
                }
                switch inflater.inflate(&rest) {
                case .member: isWithinMember = false
                case .more: break
                case .malformed: return .unknown
                }
            }
        }
        return isWithinMember ? .torn("the gzip stream ends at byte \(size), within a member") : .whole
    }
}

/// zlib's inflate with the output thrown away.
// Safety: the stream lives on the heap because zlib keeps its address; one thread uses it.
private final class Inflater {
    enum Step { case more, member, malformed }

    private let stream: UnsafeMutablePointer<z_stream>
    private let output: UnsafeMutablePointer<UInt8>
    private let outputByteCount: Int
    private var isStarted = false

    init(outputByteCount: Int) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        output = .allocate(capacity: outputByteCount)
        self.outputByteCount = outputByteCount
    }

    deinit {
        if isStarted { inflateEnd(stream) }
        stream.deallocate()
        output.deallocate()
    }

    func start(windowBits: Int32) -> Bool {
        isStarted = inflateInit2_(stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
        return isStarted
    }

    func reset() { inflateReset(stream) }

    /// Consumes input until the member ends or the input does.
    func inflate(_ input: inout UnsafeRawBufferPointer) -> Step {
        let base = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.next_in = UnsafeMutablePointer(mutating: base)
        stream.pointee.avail_in = UInt32(input.count)
        while true {
            stream.pointee.next_out = output
            stream.pointee.avail_out = UInt32(outputByteCount)
            let result = CZlib.inflate(stream, Z_NO_FLUSH)
            let left = Int(stream.pointee.avail_in)
            switch result {
            case Z_STREAM_END:
                input = UnsafeRawBufferPointer(rebasing: input[(input.count - left)...])
                return .member
            case Z_OK where left > 0 || stream.pointee.avail_out == 0:
                continue
            case Z_OK, Z_BUF_ERROR:
                input = UnsafeRawBufferPointer(rebasing: input[(input.count - left)...])
                return .more
            default:
                return .malformed
            }
        }
    }
}
