// SPDX-License-Identifier: Apache-2.0

import Glibc
public import NIOCore
import NIOPosix

/// The bytes of a file or a pipe as they come, a piece at a time: what `larder put` sends.
///
/// Reading blocks, so it happens on a thread that is there for it, and only when the last piece was taken.
public struct DescriptorBytes: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer
    /// Bytes read at a time: a pipe gives 64 KiB and more of them, a file gives all.
    static let pieceByteCount = 1 << 20

    private let descriptor: CInt
    private let didRead: @Sendable (Int) -> Void

    /// - Parameters:
    ///   - descriptor: stays the caller's, who closes it after.
    ///   - didRead: told how many bytes each piece has, for progress.
    public init(_ descriptor: CInt, didRead: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.descriptor = descriptor
        self.didRead = didRead
    }

    public func makeAsyncIterator() -> Iterator { Iterator(descriptor: descriptor, didRead: didRead) }

    public struct Iterator: AsyncIteratorProtocol {
        let descriptor: CInt
        let didRead: @Sendable (Int) -> Void

        /// - Throws: ``ControlError`` `io`; cancellation where the task was cancelled meanwhile.
        public mutating func next() async throws -> ByteBuffer? {
            try Task.checkCancellation()
            let descriptor = descriptor
            let piece = try await NIOThreadPool.singleton.runIfActive { try DescriptorBytes.piece(of: descriptor) }
            guard piece.readableBytes > 0 else { return nil }
            didRead(piece.readableBytes)
            return piece
        }
    }

    private static func piece(of descriptor: CInt) throws(ControlError) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: pieceByteCount)
        var failure: CInt = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: pieceByteCount) { out in
            while true {
                let count = read(descriptor, out.baseAddress, pieceByteCount)
                if count >= 0 { return count }
                guard errno == EINTR else {
                    failure = errno
                    return 0
                }
            }
        }
        guard failure == 0 else {
            throw ControlError(.io, "the input cannot be read: \(String(cString: strerror(failure)))")
        }
        return buffer
    }
}

/// Writes pieces to a file or a pipe: where `larder get` puts them.
public struct DescriptorSink: Sendable {
    /// What became of a piece.
    public enum Outcome: Sendable {
        case written
        /// Nobody reads the pipe any more.
        case closed
    }

    private let descriptor: CInt

    /// - Parameter descriptor: stays the caller's, who closes it after. `SIGPIPE` is ignored by the process.
    public init(_ descriptor: CInt) { self.descriptor = descriptor }

    /// - Throws: ``ControlError`` `noSpace` or `io`.
    public func write(_ piece: ByteBuffer) async throws -> Outcome {
        let descriptor = descriptor
        return try await NIOThreadPool.singleton.runIfActive { try DescriptorSink.write(piece, to: descriptor) }
    }

    private static func write(_ piece: ByteBuffer, to descriptor: CInt) throws(ControlError) -> Outcome {
        let failure = piece.withUnsafeReadableBytes { bytes -> CInt in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { return errno }
                rest = rest.dropFirst(count)
            }
            return 0
        }
        switch failure {
        case 0: return .written
        case EPIPE: return .closed
        default:
            let code: ControlError.Code = [ENOSPC, EDQUOT, EFBIG].contains(failure) ? .noSpace : .io
            throw ControlError(code, "the output cannot be written: \(String(cString: strerror(failure)))")
        }
    }
}
