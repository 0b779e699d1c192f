// SPDX-License-Identifier: Apache-2.0

import Agent
import ArgumentParser
import Content
import Control
import Holder
import Peers

/// An end of a verb whose line was written already.
struct Ended: Error {
    let status: ExitStatus
}

/// A use of the command line that ArgumentParser cannot see to be wrong.
struct UsageError: Error {
    let message: String
}

enum Failure {
    /// Says on stderr what went wrong, and which status that is.
    static func report(_ error: any Error) -> ExitStatus {
        if let ended = error as? Ended { return ended.status }
        if let (status, message) = known(error) {
            for line in message.split(separator: "\n") { Output.line("larder: \(line)") }
            return status
        }
        let message = Larder.fullMessage(for: error)
        switch Larder.exitCode(for: error) {
        case .success:
            // Help and version that were asked for.
            print(message)
            return .ok
        case .validationFailure:
            Output.line(message)
            return .usage
        default:
            Output.line("larder: \(message.isEmpty ? "\(error)" : message)")
            return .failed
        }
    }

    /// Errors of our own modules, with their status.
    static func known(_ error: any Error) -> (ExitStatus, String)? {
        switch error {
        case let error as ControlError: (ExitStatus(error.code), error.message)
        case let error as ContentError: (.usage, error.message)
        case let error as HolderError: (.failed, error.message)
        case let error as UsageError: (.usage, error.message)
        case let error as PeersError: (error.code == .invalid ? .usage : .failed, error.message)
        case let error as AgentError:
            (error.code == .configuration || error.code == .value ? .usage : .failed, error.description)
        case is CancellationError: (.interrupted, "interrupted")
        default: nil
        }
    }
}
