// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Glibc
import NIOCore
import NIOSSL

/// The files of an agent's end of TLS.
public struct TLSFiles: Hashable, Sendable {
    /// PEM: the agent's certificate, then the intermediate ones up to a trusted one, where there are any.
    public var certificate: String
    /// PEM: the key of the certificate.
    public var key: String
    /// PEM: certificates of the authorities whose certificates are believed.
    public var trust: [String]

    public init(certificate: String, key: String, trust: [String]) {
        self.certificate = certificate
        self.key = key
        self.trust = trust
    }

    /// The files with the names of their fields in the configuration.
    var named: [(field: String, path: String)] {
        [("tls.certificate", certificate), ("tls.key", key)]
            + trust.enumerated().map { ("tls.trust[\($0.offset)]", $0.element) }
    }
}

/// What an agent's end of TLS consists of, read from its files at one moment.
public struct Credentials: Sendable {
    /// The most bytes of one file: a hundred certificates.
    static let fileByteCountMax = 1 << 20

    /// How long the end of a connection waits for the other end to agree: what HTTP says has a length of its own, so
    /// nothing is lost where it does not.
    static let shutdownLimit: TimeAmount = .milliseconds(200)

    /// What our own certificate says of us.
    public let authority: Authority
    /// When our certificate ends.
    public let end: Date
    /// For connections that others make to us.
    let server: NIOSSLContext
    /// For connections that we make.
    let client: TLSConfiguration

    /// - Throws: ``PeersError`` `invalid`, with field and file.
    public init(files: TLSFiles) throws(PeersError) {
        let chain = try Credentials.certificates(files.certificate, "tls.certificate")
        var trust: [NIOSSLCertificate] = []
        for (index, path) in files.trust.enumerated() {
            trust += try Credentials.certificates(path, "tls.trust[\(index)]")
        }
        guard !trust.isEmpty else {
            throw PeersError(.invalid, "tls.trust: it is empty, so no certificate would be believed")
        }
        let facts = try Credentials.facts(files.certificate)
        guard let authority = facts.authority else {
            let problem = facts.problem ?? "it is the certificate of an authority, not of an agent"
            throw PeersError(.invalid, "tls.certificate: '\(files.certificate)': \(problem)")
        }
        self.authority = authority
        end = facts.end
        let key = try Credentials.key(files.key)
        var server = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
        server.minimumTLSVersion = .tlsv13
        server.shutdownTimeout = Credentials.shutdownLimit
        server.trustRoots = .certificates(trust)
        // Agents are called by address; the certificate's own names say who it is, and those are checked.
        server.certificateVerification = .noHostnameVerification
        var client = TLSConfiguration.makeClientConfiguration()
        client.minimumTLSVersion = .tlsv13
        client.shutdownTimeout = Credentials.shutdownLimit
        client.trustRoots = .certificates(trust)
        client.certificateVerification = .noHostnameVerification
        client.certificateChain = chain.map { .certificate($0) }
        client.privateKey = .privateKey(key)
        self.client = client
        do {
            self.server = try NIOSSLContext(configuration: server)
        } catch {
            throw PeersError(
                .invalid,
                "tls.key: '\(files.key)' is not the key of '\(files.certificate)', or neither can be used: \(error)")
        }
    }

    private static func certificates(_ path: String, _ field: String) throws(PeersError) -> [NIOSSLCertificate] {
        let text = try text(path, field)
        do {
            let certificates = try NIOSSLCertificate.fromPEMBytes(Array(text.utf8))
            if !certificates.isEmpty { return certificates }
        } catch { throw PeersError(.invalid, "\(field): '\(path)' holds no PEM certificate: \(error)") }
        throw PeersError(.invalid, "\(field): '\(path)' holds no PEM certificate")
    }

    private static func key(_ path: String) throws(PeersError) -> NIOSSLPrivateKey {
        let text = try text(path, "tls.key")
        do {
            return try NIOSSLPrivateKey(bytes: Array(text.utf8), format: .pem)
        } catch { throw PeersError(.invalid, "tls.key: '\(path)' holds no PEM key: \(error)") }
    }

    /// The facts of the first certificate: the agent's own.
    private static func facts(_ path: String) throws(PeersError) -> CertificateFacts {
        let text = try text(path, "tls.certificate")
        do throws(PeersError) {
            let all = try CertificateFacts.read(pem: text)
            if let first = all.first { return first }
        } catch { throw PeersError(.invalid, "tls.certificate: '\(path)': \(error.message)") }
        throw PeersError(.invalid, "tls.certificate: '\(path)' holds no PEM certificate")
    }

    private static func text(_ path: String, _ field: String) throws(PeersError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw PeersError(.invalid, "\(field): '\(path)' cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { _ = close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: fileByteCountMax)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes {
                read(descriptor, $0.baseAddress?.advanced(by: count), $0.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else {
                throw PeersError(.invalid, "\(field): '\(path)' cannot be read: \(String(cString: strerror(errno)))")
            }
            if got == 0 { return String(decoding: bytes.prefix(count), as: UTF8.self) }
            count += got
        }
        throw PeersError(.invalid, "\(field): '\(path)' has over \(fileByteCountMax) bytes")
    }
}
