// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOConcurrencyHelpers

/// The credentials in use. Files that change replace them for connections made from then on; connections that are
/// there stay until they are closed.
public final class Keyring: Sendable {
    /// What tells a file from the one that stood there before: Kubernetes swaps a link, people write in place.
    private struct Stamp: Equatable {
        let device: UInt
        let inode: UInt
        let size: Int
        let seconds: Int
        let nanoseconds: Int
    }

    private struct State {
        var credentials: Credentials
        var stamps: [Stamp?]
    }

    /// What a look at the files found.
    enum Outcome {
        case unchanged
        case renewed(Credentials)
        /// They changed into something that cannot be used; what was there stays in use.
        case unusable(PeersError)
    }

    private let files: TLSFiles
    private let state: NIOLockedValueBox<State>

    /// - Throws: ``PeersError`` `invalid`, with field and file.
    public init(files: TLSFiles) throws(PeersError) {
        self.files = files
        let stamps = Keyring.stamps(files)
        state = NIOLockedValueBox(State(credentials: try Credentials(files: files), stamps: stamps))
    }

    public var current: Credentials { state.withLockedValue { $0.credentials } }

    /// Whether the certificate is that of an agent that calls itself so.
    ///
    /// - Throws: ``PeersError`` `invalid`, with field and file.
    public func check(site: String, agent: String) throws(PeersError) {
        let authority = current.authority
        guard !authority.allows(site: site, agent: agent) else { return }
        throw PeersError(
            .invalid,
            "tls.certificate: '\(files.certificate)' is the certificate of \(authority), and this agent is "
                + "\(site)/\(agent)"
        )
    }

    /// Looks whether the files are others, and takes them. To be called by one task at a time: it reads files.
    func refresh() -> Outcome {
        let stamps = Keyring.stamps(files)
        guard stamps != state.withLockedValue({ $0.stamps }) else { return .unchanged }
        do throws(PeersError) {
            let credentials = try Credentials(files: files)
            state.withLockedValue { $0 = State(credentials: credentials, stamps: stamps) }
            return .renewed(credentials)
        } catch {
            // Perhaps only half of them was written yet: the stamps stay as they were, so it is tried again.
            return .unusable(error)
        }
    }

    private static func stamps(_ files: TLSFiles) -> [Stamp?] {
        files.named.map { file in
            var status = stat()
            guard stat(file.path, &status) == 0 else { return nil }
            return Stamp(
                device: UInt(status.st_dev),
                inode: UInt(status.st_ino),
                size: Int(status.st_size),
                seconds: status.st_mtim.tv_sec,
                nanoseconds: status.st_mtim.tv_nsec
            )
        }
    }
}
