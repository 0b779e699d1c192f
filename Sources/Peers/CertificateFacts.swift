// SPDX-License-Identifier: Apache-2.0

public import Foundation
import SwiftASN1
import X509

/// What a person wants to know of a certificate.
public struct CertificateFacts: Sendable {
    public let subject: String
    public let issuer: String
    public let begin: Date
    public let end: Date
    /// It may sign other certificates.
    public let isAuthority: Bool
    /// Nil for a certificate authority, and where the certificate names no agent; ``problem`` says why.
    public let authority: Authority?
    public let problem: String?
    private let certificate: Certificate

    /// The certificates of a PEM text, in their order.
    ///
    /// - Throws: ``PeersError`` `invalid` where there is none, or one that cannot be read.
    public static func read(pem text: String) throws(PeersError) -> [CertificateFacts] {
        var facts: [CertificateFacts] = []
        do {
            for document in try PEMDocument.parseMultiple(pemString: text) where document.discriminator == "CERTIFICATE"
            {
                facts.append(CertificateFacts(try Certificate(pemDocument: document)))
            }
        } catch { throw PeersError(.invalid, "it holds no readable PEM certificate: \(error)") }
        guard !facts.isEmpty else { throw PeersError(.invalid, "it holds no PEM certificate") }
        return facts
    }

    init(der: [UInt8]) throws { self.init(try Certificate(derEncoded: der)) }

    init(_ certificate: Certificate) {
        self.certificate = certificate
        subject = "\(certificate.subject)"
        issuer = "\(certificate.issuer)"
        begin = certificate.notValidBefore
        end = certificate.notValidAfter
        if case .isCertificateAuthority = try? certificate.extensions.basicConstraints {
            isAuthority = true
        } else {
            isAuthority = false
        }
        do throws(PeersError) {
            authority = try Authority(uris: CertificateFacts.uris(of: certificate))
            problem = nil
        } catch {
            authority = nil
            problem = isAuthority ? nil : error.message
        }
    }

    /// Whether another certificate signed this one.
    public func isSigned(by other: CertificateFacts) -> Bool {
        other.isAuthority && other.certificate.subject == certificate.issuer
            && other.certificate.publicKey.isValidSignature(certificate.signature, for: certificate)
    }

    /// Whether it signed itself: the end of a chain.
    public var isRoot: Bool { certificate.subject == certificate.issuer }

    private static func uris(of certificate: Certificate) -> [String] {
        guard let names = try? certificate.extensions.subjectAlternativeNames else { return [] }
        return names.compactMap { if case .uniformResourceIdentifier(let uri) = $0 { uri } else { nil } }
    }
}
