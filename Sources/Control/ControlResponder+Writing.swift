// SPDX-License-Identifier: Apache-2.0

import Content
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import Objects

extension ControlResponder {
    /// Takes the body as the object's bytes and publishes it when all of them are here; one cut short leaves nothing.
    func writeObject(_ key: Key, _ query: Query, _ request: Request) async throws -> Response {
        let begin = ContinuousClock.now
        let isDurable = try query.flag("durable")
        let modified = try query.number("modified", in: Int64.min...Int64.max)
        let metadata = Metadata(
            mode: try query.number("mode", in: 0...0o7777, radix: 8) ?? 0o644,
            modified: modified ?? Timestamp.now.nanoseconds
        )
        let writer = try cache.create(key, metadata: metadata)
        do {
            writer.touch()
            let count = try await receive(request, into: writer)
            if let modified { writer.metadata = Metadata(mode: metadata.mode, modified: modified) }
            if isDurable { try await writer.sync() }
            guard let entry = try await writer.publish() else {
                throw ControlError(.io, "\(key) was not published; this is a defect, please report it")
            }
            let message = PutMessage(
                entry: EntryMessage(entry),
                bytes: count,
                seconds: (ContinuousClock.now - begin) / .seconds(1),
                durable: isDurable
            )
            return try success(message, status: .created)
        } catch {
            writer.discard()
            logger.info("write abandoned", metadata: ["key": "\(key)", "error": "\(error)"])
            throw error
        }
    }

    /// Writes the body as it comes. The sender is read no faster than that, so memory holds two pieces.
    ///
    /// - Throws: where the body ends before its announced length, or its connection does.
    private func receive(_ request: Request, into writer: ObjectWriter) async throws -> UInt64 {
        let announced = try announcedLength(request)
        if let announced { try await writer.expect(size: announced) }
        var offset: UInt64 = 0
        var piece = ByteBuffer()
        for try await var buffer in request.body {
            piece.writeBuffer(&buffer)
            guard piece.readableBytes >= ControlLimits.pieceByteCount else { continue }
            try await write(piece, at: offset, to: writer)
            offset += UInt64(piece.readableBytes)
            piece = ByteBuffer()
        }
        if piece.readableBytes > 0 { try await write(piece, at: offset, to: writer) }
        offset += UInt64(piece.readableBytes)
        if let announced, offset != announced {
            throw ControlError(.interrupted, "the body ended after \(offset) of \(announced) bytes")
        }
        return offset
    }

    private func write(_ piece: ByteBuffer, at offset: UInt64, to writer: ObjectWriter) async throws {
        while true {
            let isWritten = try await pool.runIfActive {
                try piece.withUnsafeReadableBytes { try writer.tryWrite($0, at: offset) }
            }
            if isWritten { return }
            try await writer.prepareWrite(offset: offset, count: piece.readableBytes)
        }
    }

    private func announcedLength(_ request: Request) throws(ControlError) -> UInt64? {
        guard let text = request.headers[.contentLength] else { return nil }
        guard let length = UInt64(text) else { throw ControlError(.badRequest, "'\(text)' is not a content length") }
        return length
    }
}
