// SPDX-License-Identifier: Apache-2.0

import Content
import FUSE
import Objects

// The one table from our errors to errno (DESIGN: one translation table per boundary).

extension Errno {
    init(_ error: ObjectError) {
        self =
            switch error.code {
            case .notFound: .notFound
            case .exists: .exists
            case .notDirectory: .notDirectory
            case .isDirectory: .isDirectory
            case .notEmpty: .notEmpty
            case .invalidKey: .invalid
            case .keyTooLong: .nameTooLong
            case .noSpace: .noSpace
            case .tooLarge: .fileTooBig
            case .unavailable: .timedOut
            case .readOnly: .readOnly
            case .corrupt: .io
            case .busy: .again
            case .cancelled: .interrupted
            case .io: .io
            case .unsupported: .invalid
            }
    }

    init(_ error: ContentError) { self.init(ObjectError(error)) }

    /// Any error that a task of ours can end with.
    static func from(_ error: any Error) -> Errno {
        switch error {
        case let error as Errno: error
        case let error as ObjectError: Errno(error)
        case let error as ContentError: Errno(error)
        case is CancellationError: .interrupted
        default: .io
        }
    }
}
