// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Files that were not there before: all of them are written, or none.
enum NewFiles {
    /// Writes files that only their owner may read.
    ///
    /// - Throws: ``UsageError`` where one cannot be written; ``Ended`` `conflict` where one is there already.
    static func write(_ files: [(name: String, text: String)], in directory: String) throws {
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { throw failure(directory) }
        let paths = files.map { "\(directory)/\($0.name)" }
        if let taken = paths.first(where: { access($0, F_OK) == 0 }) { throw conflict(taken) }
        var made: [String] = []
        do {
            for (path, file) in zip(paths, files) {
                let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
                guard descriptor >= 0 else { throw errno == EEXIST ? conflict(path) : failure(path) }
                made.append(path)
                defer { _ = close(descriptor) }
                try write(file.text, to: descriptor, path)
            }
        } catch {
            for path in made { unlink(path) }
            throw error
        }
    }

    private static func write(_ text: String, to descriptor: CInt, _ path: String) throws {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(path) }
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0 else { throw failure(path) }
    }

    /// The text of a file.
    ///
    /// - Throws: ``UsageError`` where it cannot be read.
    static func read(_ path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        // Certificates have some kilobytes; whatever is larger is something else.
        while bytes.count < 1 << 20 {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path) }
            if count == 0 { break }
            bytes += piece[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func failure(_ path: String) -> UsageError {
        UsageError(message: "'\(path)': \(String(cString: strerror(errno)))")
    }

    private static func conflict(_ path: String) -> Ended {
        Output.line("larder: '\(path)' is there already, and keys are never overwritten: move it away first")
        return Ended(status: .conflict)
    }
}
