// SPDX-License-Identifier: Apache-2.0

import FUSE
import Glibc

/// The directory of a volume on the host: a tiny read-only tmpfs with the mount point in it.
struct VolumeLayout {
    static let source = "larder-volume"
    /// The most mounts of ours that are detached from one path: a crash leaves one, a crash loop a few.
    static let detachCountMax = 64

    let configuration: VolumeConfiguration

    /// Makes or takes over the directory, and detaches dead FUSE mounts of ours.
    func prepare() throws(VolumeError) {
        try detachStale()
        try makeDirectories(configuration.path)
        if MountTable.entries(at: configuration.path).last?.source != VolumeLayout.source {
            try refuseForeign(configuration.path)
            try mountParent()
        }
        try remount(readOnly: false)
        try makeDirectories(configuration.mountPoint)
        try remount(readOnly: true)
        try refuseForeign(configuration.mountPoint)
    }

    private func mountParent() throws(VolumeError) {
        let options = "mode=0755,size=64k,nr_inodes=16"
        let flags = UInt(MS_NOSUID) | UInt(MS_NODEV)
        guard mount(VolumeLayout.source, configuration.path, "tmpfs", flags, options) == 0 else {
            throw failure("mount a tmpfs at", configuration.path)
        }
        // Shared, so that a pod that mounts it with HostToContainer sees the FUSE mounts that come below it.
        guard mount(nil, configuration.path, nil, UInt(MS_SHARED), nil) == 0 else {
            throw failure("share", configuration.path)
        }
    }

    func remount(readOnly: Bool) throws(VolumeError) {
        let flags = UInt(MS_REMOUNT) | UInt(MS_NOSUID) | UInt(MS_NODEV) | (readOnly ? UInt(MS_RDONLY) : 0)
        guard mount(VolumeLayout.source, configuration.path, "tmpfs", flags, nil) == 0 else {
            throw failure(readOnly ? "make read-only" : "make writable", configuration.path)
        }
    }

    /// Detaches FUSE mounts of ours whose agent is gone.
    private func detachStale() throws(VolumeError) {
        for _ in 0..<VolumeLayout.detachCountMax {
            guard let top = MountTable.entries(at: configuration.mountPoint).last else { return }
            guard top.fsType == "fuse.larder" || top.source == "larder" else { return }
            guard MountTable.isStale(configuration.mountPoint) else {
                throw VolumeError(
                    .inUse,
                    "\(configuration.mountPoint) is served by another agent; stop it first, or give volume "
                        + "\(configuration.name) another path"
                )
            }
            guard umount2(configuration.mountPoint, Int32(MNT_DETACH)) == 0 else {
                throw failure("detach the stale mount at", configuration.mountPoint)
            }
        }
    }

    private func refuseForeign(_ path: String) throws(VolumeError) {
        guard let top = MountTable.entries(at: path).last else { return }
        throw VolumeError(
            .inUse,
            "\(path) is in use: \(top.source) (\(top.fsType)) is mounted there; unmount it, or give volume "
                + "\(configuration.name) another path"
        )
    }

    func remove() throws(VolumeError) {
        try detachStale()
        while MountTable.entries(at: configuration.path).last?.source == VolumeLayout.source {
            guard umount2(configuration.path, Int32(MNT_DETACH)) == 0 else {
                throw failure("unmount", configuration.path)
            }
        }
        rmdir(configuration.path)
    }

    private func makeDirectories(_ path: String) throws(VolumeError) {
        var at = path.startIndex
        while at < path.endIndex {
            at = path[path.index(after: at)...].firstIndex(of: "/") ?? path.endIndex
            guard mkdir(String(path[..<at]), 0o755) == 0 || errno == EEXIST || errno == EROFS else {
                throw failure("make the directory", String(path[..<at]))
            }
        }
    }

    private func failure(_ what: String, _ path: String) -> VolumeError {
        let reason = String(cString: strerror(errno))
        let remedy = errno == EPERM ? "; the agent must run as root with CAP_SYS_ADMIN (a privileged container)" : ""
        return VolumeError(.mount, "could not \(what) \(path) for volume \(configuration.name): \(reason)\(remedy)")
    }
}
