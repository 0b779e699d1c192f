// SPDX-License-Identifier: Apache-2.0

public import Peers

extension AgentConfiguration {
    /// This agent's end of TLS, read from its files; nil where agents speak plaintext.
    ///
    /// - Throws: ``AgentError`` `configuration`, with field and file.
    public func keyring() throws(AgentError) -> Keyring? {
        guard let tls else { return nil }
        do throws(PeersError) {
            let keyring = try Keyring(
                files: TLSFiles(certificate: tls.certificate, key: tls.key, trust: tls.trust)
            )
            try keyring.check(site: site, agent: name)
            return keyring
        } catch { throw AgentError(.configuration, "the certificate cannot be used", cause: error.message) }
    }
}
