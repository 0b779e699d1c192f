// SPDX-License-Identifier: Apache-2.0

import Control
import Foundation
import Peers

extension StateReport {
    /// How long before its end a certificate should have been renewed: two weeks leave time to find out why it was not.
    private static let renewal: TimeInterval = 14 * 86_400

    /// The certificate of this agent, and what it does not allow although it is configured.
    func security() -> [CheckMessage] {
        guard let keyring else {
            let isAlone = configuration.listen.isLoopback
            return [
                CheckMessage(
                    "security",
                    isAlone ? .ok : .warn,
                    "agents speak plaintext and believe each other",
                    remedy: isAlone ? nil : "trust the network, or give 'tls' (see 'larder pki')"
                )
            ]
        }
        let credentials = keyring.current
        return [end(credentials)] + rights(credentials.authority)
    }

    private func end(_ credentials: Credentials) -> CheckMessage {
        let left = credentials.end.timeIntervalSinceNow
        let text = "\(credentials.authority), \(credentials.authority.rights)"
        let days = Int(left / 86_400)
        let remedy = "renew it in place: its file is looked at every minute, no restart is needed"
        if left <= 0 { return CheckMessage("certificate", .fail, "\(text): it ended", remedy: remedy) }
        guard left < StateReport.renewal else {
            return CheckMessage("certificate", .ok, "\(text), for \(days) more days")
        }
        return CheckMessage("certificate", .warn, "\(text): it ends in \(days) days", remedy: remedy)
    }

    private func rights(_ authority: Authority) -> [CheckMessage] {
        let remedy = "issue a certificate with 'larder-namespace:NAMESPACE?rights=rw' among its URIs"
        let lacking = configuration.volumes.compactMap { volume -> CheckMessage? in
            let isReadable = authority.rights.mayRead(volume.namespace)
            guard !isReadable || (volume.access == .readWrite && !authority.rights.mayPublish(volume.namespace)) else {
                return nil
            }
            let text =
                isReadable
                ? "it is writable, and the certificate allows only reading '\(volume.namespace)': others refuse what is "
                    + "published here"
                : "the certificate does not allow namespace '\(volume.namespace)': what others have is absent here"
            return CheckMessage("volume \(volume.name)", .warn, text, remedy: remedy)
        }
        let refusals = peers.refusals.sorted { $0.key < $1.key }.map { namespace, names in
            CheckMessage(
                "namespace \(namespace)",
                .warn,
                "\(names.sorted().joined(separator: ", ")) refused what this agent published there",
                remedy: remedy
            )
        }
        return lacking + refusals
    }

    /// Why a member does not answer, where more is known than that.
    func reason(_ member: Member) -> String { member.failure.map { ": \($0)" } ?? "" }
}
