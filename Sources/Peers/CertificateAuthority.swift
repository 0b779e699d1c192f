// SPDX-License-Identifier: Apache-2.0

import Crypto
public import Foundation
import SwiftASN1
import X509

/// A small certificate authority for those without one: a key, its own certificate, and certificates for agents.
///
/// P-256 keys and ECDSA with SHA-256: what every TLS 1.3 implementation has.
public struct CertificateAuthority: Sendable {
    /// A certificate or a key as PEM.
    public struct Issued: Sendable {
        public let certificate: String
        public let key: String
    }

    /// How far in the past a certificate begins, for receivers whose clocks are behind.
    static let clockAllowance: TimeInterval = 300

    /// Its own certificate, as PEM.
    public let certificate: String
    private let own: Certificate
    private let key: P256.Signing.PrivateKey

    /// A new authority.
    ///
    /// - Parameter name: for people; the certificate's common name.
    /// - Throws: ``PeersError`` `invalid`.
    public static func make(name: String, from begin: Date, to end: Date) throws(PeersError) -> (Self, key: String) {
        let key = P256.Signing.PrivateKey()
        do {
            let subject = try DistinguishedName { CommonName(name) }
            let identifier = SubjectKeyIdentifier(hash: Certificate.PublicKey(key.publicKey))
            let own = try Certificate(
                version: .v3,
                serialNumber: Certificate.SerialNumber(),
                publicKey: Certificate.PublicKey(key.publicKey),
                notValidBefore: begin - clockAllowance,
                notValidAfter: end,
                issuer: subject,
                subject: subject,
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                    Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                    identifier
                },
                issuerPrivateKey: Certificate.PrivateKey(key)
            )
            let certificate = try own.serializeAsPEM().pemString + "\n"
            return (Self(certificate: certificate, own: own, key: key), key.pemRepresentation + "\n")
        } catch { throw PeersError(.invalid, "the certificate of '\(name)' cannot be made: \(error)") }
    }

    /// The authority of a certificate and its key.
    ///
    /// - Throws: ``PeersError`` `invalid` where they are none or do not belong together.
    public init(certificate: String, key: String) throws(PeersError) {
        do {
            own = try Certificate(pemEncoded: certificate)
            self.key = try P256.Signing.PrivateKey(pemRepresentation: key)
        } catch { throw PeersError(.invalid, "this is no certificate authority with a P-256 key: \(error)") }
        guard own.publicKey == Certificate.PublicKey(self.key.publicKey) else {
            throw PeersError(.invalid, "the authority's key is not the key of its certificate")
        }
        self.certificate = certificate
    }

    private init(certificate: String, own: Certificate, key: P256.Signing.PrivateKey) {
        self.certificate = certificate
        self.own = own
        self.key = key
    }

    /// A key for an agent, and a certificate that states its authority.
    ///
    /// - Throws: ``PeersError`` `invalid`.
    public func issue(_ authority: Authority, from begin: Date, to end: Date) throws(PeersError) -> Issued {
        let leaf = P256.Signing.PrivateKey()
        do {
            let uris = authority.uris.map { GeneralName.uniformResourceIdentifier($0) }
            let identifier = try own.extensions.subjectKeyIdentifier?.keyIdentifier
            let certificate = try Certificate(
                version: .v3,
                serialNumber: Certificate.SerialNumber(),
                publicKey: Certificate.PublicKey(leaf.publicKey),
                notValidBefore: begin - CertificateAuthority.clockAllowance,
                notValidAfter: end,
                issuer: own.subject,
                subject: try DistinguishedName { CommonName(authority.description) },
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    Critical(KeyUsage(digitalSignature: true))
                    // An agent is both ends.
                    try ExtendedKeyUsage([.serverAuth, .clientAuth])
                    SubjectAlternativeNames(uris)
                    AuthorityKeyIdentifier(keyIdentifier: identifier)
                },
                issuerPrivateKey: Certificate.PrivateKey(key)
            )
            return Issued(
                certificate: try certificate.serializeAsPEM().pemString + "\n", key: leaf.pemRepresentation + "\n")
        } catch { throw PeersError(.invalid, "the certificate of \(authority) cannot be made: \(error)") }
    }
}
