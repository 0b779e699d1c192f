// SPDX-License-Identifier: Apache-2.0

import NIOSSL

/// The table from what TLS says of a failed handshake to words for a person.
enum TLSTrouble {
    /// Alerts with which the other end refuses our certificate.
    private static let alerts = [
        "ALERT_UNKNOWN_CA", "ALERT_CERTIFICATE", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CERTIFICATE",
        "ALERT_UNSUPPORTED_CERTIFICATE", "ALERT_ACCESS_DENIED", "ALERT_DECRYPT_ERROR",
    ]
    /// What is said where the bytes that came are no record of TLS.
    private static let plaintext = ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_RECORD", "INVALID_SSL_SESSION"]

    /// What an error means, or nil where it is none of TLS, or only says that a connection broke.
    ///
    /// - Parameter other: the other end, as the message calls it.
    static func message(of error: any Error, at other: String) -> String? {
        guard error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError else { return nil }
        let text = "\(error)"
        if plaintext.contains(where: text.contains) {
            return "\(other) speaks plaintext and this agent TLS: that agent lacks 'tls'"
        }
        if alerts.contains(where: text.contains) {
            return
                "\(other) does not believe this agent's certificate: expired, or signed by no authority that it trusts"
        }
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return "the certificate of \(other) is not believed: expired, or signed by no authority in 'tls.trust'"
        }
        if text.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE") { return "\(other) showed no certificate" }
        return nil
    }
}
