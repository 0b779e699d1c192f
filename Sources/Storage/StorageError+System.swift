// SPDX-License-Identifier: Apache-2.0

import Glibc

extension StorageError {
    /// The one table from errno to our codes.
    static func system(_ number: Int32, _ doing: String, _ path: String) -> StorageError {
        let code: Code
        switch number {
        case ENOSPC, EDQUOT: code = .noSpace
        case EFBIG: code = .tooLarge
        default: code = .io
        }
        return StorageError(code, "cannot \(doing) \(path): \(String(cString: strerror(number)))", errno: number)
    }
}
