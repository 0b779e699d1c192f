// SPDX-License-Identifier: Apache-2.0

import Control
import Glibc

/// Where `get` writes: stdout, a device or pipe as it is, or a new file that takes its name when it is whole.
struct Target: Sendable {
    let descriptor: CInt
    private let path: String?
    private let temporaryPath: String?

    /// - Throws: ``UsageError`` where nothing can be written there.
    init(_ file: String) throws {
        guard file != "-" else {
            guard isatty(STDOUT_FILENO) == 0 else {
                throw UsageError(message: "stdout is a terminal: name a FILE, or pipe get into something")
            }
            descriptor = STDOUT_FILENO
            path = nil
            temporaryPath = nil
            return
        }
        switch FileFacts(path: file)?.kind {
        case .directory:
            throw UsageError(message: "'\(file)' is a directory")
        case .other:
            path = nil
            temporaryPath = nil
            descriptor = open(file, O_WRONLY | O_CLOEXEC)
        case .file, nil:
            let slash = file.lastIndex(of: "/").map { file.index(after: $0) } ?? file.startIndex
            let temporary = "\(file[..<slash]).\(file[slash...].prefix(64)).larder-\(getpid())"
            path = file
            temporaryPath = temporary
            descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        }
        guard descriptor >= 0 else {
            throw UsageError(message: "'\(file)' cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// Gives the file its name; what had it is replaced.
    ///
    /// - Throws: ``ControlError`` `io` or `noSpace`.
    func keep() throws(ControlError) {
        guard let path, let temporaryPath else { return }
        // Some file systems tell only now that the bytes did not fit.
        guard close(descriptor) == 0, rename(temporaryPath, path) == 0 else {
            let code: ControlError.Code = errno == ENOSPC || errno == EDQUOT ? .noSpace : .io
            throw ControlError(code, "'\(path)' cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// Removes what was written so far. After ``keep()`` there is nothing to remove.
    func discard() {
        if let temporaryPath { unlink(temporaryPath) }
    }
}
