// SPDX-License-Identifier: Apache-2.0

import Control

/// How a verb ended: the one table that scripts rely on.
enum ExitStatus: Int32, CaseIterable {
    case ok = 0
    case failed = 1
    case usage = 2
    case notFound = 3
    case noSpace = 4
    case unavailable = 5
    case timedOut = 6
    case conflict = 7
    case refused = 8
    /// 128 + SIGINT, as shells write it.
    case interrupted = 130

    var meaning: String {
        switch self {
        case .ok: "done"
        case .failed: "failed; or the object that was put is torn; or doctor found something wrong"
        case .usage: "bad arguments, bad key, bad configuration"
        case .notFound: "no such key"
        case .noSpace: "no space: the quota, the disk, or the object is over the limit"
        case .unavailable: "the agent, or every agent that has the bytes, cannot be reached"
        case .timedOut: "it took longer than allowed"
        case .conflict: "something else is there: it exists, is a directory, is not empty"
        case .refused: "not allowed: read-only, or another namespace"
        case .interrupted: "interrupted by a signal"
        }
    }

    static var table: String {
        allCases.map { "  \($0.rawValue)  \($0.meaning)" }.joined(separator: "\n")
    }

    init(_ code: ControlError.Code) {
        self =
            switch code {
            case .notFound: .notFound
            case .exists, .notDirectory, .isDirectory, .notEmpty: .conflict
            case .invalidKey, .keyTooLong, .badRequest, .badRange: .usage
            case .noSpace, .tooLarge: .noSpace
            case .unavailable, .unreachable, .busy: .unavailable
            case .timedOut: .timedOut
            case .readOnly, .forbidden: .refused
            case .cancelled: .interrupted
            case .corrupt, .io, .unsupported, .noRoute, .interrupted: .failed
            }
    }
}
