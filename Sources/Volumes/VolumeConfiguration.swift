// SPDX-License-Identifier: Apache-2.0

/// One exposure of a namespace to the jobs of a node.
public struct VolumeConfiguration: Sendable, Hashable {
    public enum Access: String, Sendable, CaseIterable {
        case readOnly = "read-only"
        case readWrite = "read-write"
    }

    public var name: String
    public var namespace: String
    /// The directory that jobs mount; the file system is at `mnt` in it, the control socket at `agent.sock`.
    public var path: String
    public var access: Access
    /// The one owner that everything in the mount has.
    public var uid: UInt32
    public var gid: UInt32
    /// Files and directories that may be open in the mount at once; each costs about a kilobyte.
    public var openFilesMax: Int

    public init(
        name: String,
        namespace: String,
        path: String,
        access: Access = .readWrite,
        uid: UInt32 = 0,
        gid: UInt32 = 0,
        openFilesMax: Int = 65_536
    ) {
        self.name = name
        self.namespace = namespace
        self.path = path
        self.access = access
        self.uid = uid
        self.gid = gid
        self.openFilesMax = openFilesMax
    }

    public var mountPoint: String { path + "/mnt" }
    public var socketPath: String { path + "/agent.sock" }
}

/// Why a volume could not be served.
public struct VolumeError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// Something else is mounted or stored where the volume belongs.
        case inUse
        /// The kernel refused a mount.
        case mount
    }

    public let code: Code
    /// What happened, to which path, and what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
