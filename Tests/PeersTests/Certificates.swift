// SPDX-License-Identifier: Apache-2.0

import Foundation
import Peers

/// An authority and the files of what it issued, in a directory of its own.
final class Certificates: Sendable {
    let authority: CertificateAuthority
    private let directory: String

    init(_ name: String) throws {
        directory = NSTemporaryDirectory() + "larder-tls-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        (authority, _) = try CertificateAuthority.make(name: name, from: Date(), to: Date(timeIntervalSinceNow: 3600))
        try write(authority.certificate, "ca.crt")
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// The authority's own certificate.
    var file: String { "\(directory)/ca.crt" }

    /// Files of an agent of a site with rights in namespaces; issued again, they are replaced.
    func issue(
        _ agent: String,
        site: String = "basement",
        _ access: [String: Rights.Access] = ["*": .publish],
        from begin: Date = Date(),
        to end: Date = Date(timeIntervalSinceNow: 3600),
        trust: [String]? = nil
    ) throws -> TLSFiles {
        let issued = try authority.issue(
            Authority(site: site, agent: agent, rights: Rights(access)),
            from: begin,
            to: end
        )
        let name = agent == Authority.everyAgent ? "any" : agent
        try write(issued.key, "\(site)-\(name).key")
        try write(issued.certificate, "\(site)-\(name).crt")
        return TLSFiles(
            certificate: "\(directory)/\(site)-\(name).crt",
            key: "\(directory)/\(site)-\(name).key",
            trust: trust ?? [file]
        )
    }

    func keyring(
        _ agent: String,
        site: String = "basement",
        _ access: [String: Rights.Access] = ["*": .publish],
        trust: [String]? = nil
    ) throws -> Keyring {
        try Keyring(files: try issue(agent, site: site, access, trust: trust))
    }

    private func write(_ text: String, _ name: String) throws {
        try text.write(toFile: "\(directory)/\(name)", atomically: true, encoding: .utf8)
    }
}
