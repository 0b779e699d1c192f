// SPDX-License-Identifier: Apache-2.0

import Content
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import Objects

extension HTTPField.Name {
    /// The id under which `GET /v1/operations/{id}` tells how a read went.
    static let larderOperation = HTTPField.Name("x-larder-operation") ?? .eTag
    /// `true` where the object's stream lacks its end.
    static let larderTorn = HTTPField.Name("x-larder-torn") ?? .eTag
}

extension ControlResponder {
    /// The bytes of an object, or of a range of it, as they arrive.
    func readObject(
        _ key: Key,
        isHead: Bool,
        _ request: Request,
        _ permit: Admission.Permit
    ) async throws -> Response {
        let entry = try await object(key)
        let range = try RangeHeader.bytes(request.headers[.range], of: entry.size)
        let wanted = range ?? 0..<entry.size
        var headers: HTTPFields = [
            .contentType: "application/octet-stream",
            .contentLength: "\(wanted.upperBound - wanted.lowerBound)",
            .acceptRanges: "bytes",
            .eTag: "\"\(entry.version.time.rawValue)-\(entry.version.agent.hex)\"",
            .larderTorn: "\(entry.metadata.torn)",
        ]
        if range != nil {
            headers[.contentRange] = "bytes \(wanted.lowerBound)-\(wanted.upperBound - 1)/\(entry.size)"
        }
        let status: HTTPResponse.Status = range == nil ? .ok : .partialContent
        guard !isHead else { return Response(status: status, headers: headers) }
        let reader = try cache.open(entry)
        let id = operations.begin(entry.key.text, missing: try await missing(of: entry))
        headers[.larderOperation] = id
        let body = ResponseBody(contentLength: Int(wanted.upperBound - wanted.lowerBound)) { writer in
            // The request lasts as long as its body, which is sent after this function returned.
            defer { withExtendedLifetime(permit) { reader.close() } }
            try await self.send(wanted, of: reader, operation: id, to: &writer)
        }
        return Response(status: status, headers: headers, body: body)
    }

    @concurrent
    private func send(
        _ range: Range<UInt64>,
        of reader: ObjectReader,
        operation id: String,
        to writer: inout any ResponseBodyWriter
    ) async throws {
        var at = range.lowerBound
        do {
            while at < range.upperBound {
                let piece = try await piece(of: reader, from: at, to: range.upperBound)
                at += UInt64(piece.readableBytes)
                operations.note(id, bytes: at - range.lowerBound, reader.statistics, isDone: at == range.upperBound)
                try await writer.write(piece)
            }
            operations.note(id, bytes: at - range.lowerBound, reader.statistics, isDone: true)
            try await writer.finish(nil)
        } catch {
            // The status is sent already: the connection ends early, and the operation says why.
            let error = ControlError.from(error)
            operations.note(id, bytes: at - range.lowerBound, reader.statistics, isDone: true, error: error)
            logger.info("read ended early", metadata: ["key": "\(reader.entry.key)", "error": "\(error)"])
            throw error
        }
    }

    /// Bytes of an entry that are not here now; 0 where that cannot be told, as after the key's removal.
    private func missing(of entry: Entry) async throws -> UInt64 {
        try await pool.runIfActive {
            guard let status = try? cache.status(of: entry.key), status.entry.version == entry.version else { return 0 }
            return status.missing
        }
    }

    /// The next bytes, as many as are due at once.
    private func piece(of reader: ObjectReader, from offset: UInt64, to end: UInt64) async throws -> ByteBuffer {
        let count = Int(min(UInt64(ControlLimits.pieceByteCount), end - offset))
        while true {
            let piece = try await pool.runIfActive { () -> ByteBuffer? in
                var buffer = ByteBufferAllocator().buffer(capacity: count)
                var missing = false
                try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { out in
                    let target = UnsafeMutableRawBufferPointer(rebasing: out[..<count])
                    guard let got = try reader.tryRead(at: offset, into: target) else {
                        missing = true
                        return 0
                    }
                    return got
                }
                return missing ? nil : buffer
            }
            if let piece {
                guard piece.readableBytes > 0 else {
                    throw ControlError(.corrupt, "\(reader.entry.key) ends at \(offset) of \(reader.size) bytes")
                }
                return piece
            }
            try await reader.prepare(offset: offset, count: count)
        }
    }

    /// What a key names, through symbolic links within the namespace, as reading it in the mount would.
    private func object(_ key: Key) async throws -> Entry {
        var entry = try await entry(key)
        for _ in 0..<LinkTarget.linkCountMax {
            guard case .symlink(let target) = entry.body else { return entry }
            guard let next = LinkTarget.resolve(target, from: entry.key) else {
                throw ControlError(
                    .unsupported, "\(entry.key) is a symbolic link that leaves its namespace: '\(target)'")
            }
            entry = try await self.entry(next)
        }
        throw ControlError(.unsupported, "\(key) leads through more than \(LinkTarget.linkCountMax) symbolic links")
    }
}
