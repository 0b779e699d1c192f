// SPDX-License-Identifier: Apache-2.0

public import Content
import Crypto

extension Content.Digest {
    /// The SHA-256 of the bytes.
    public static func sha256(of bytes: UnsafeRawBufferPointer) -> Content.Digest {
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        return hash.finalize().withUnsafeBytes { Content.Digest($0) }
    }

    /// The SHA-256 of the bytes.
    public static func sha256(of bytes: [UInt8]) -> Content.Digest {
        bytes.withUnsafeBytes { sha256(of: $0) }
    }
}
