// SPDX-License-Identifier: Apache-2.0

/// How a chunk's bytes are written at rest and on the wire. The numbers are part of both formats.
public enum Codec: UInt8, Sendable {
    /// As they are.
    case plain = 0
    /// One zstd frame without dictionary.
    case zstd = 1
    /// One LZ4 block.
    case lz4 = 2
}
