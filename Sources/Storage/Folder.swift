// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A directory of the store: the operations on names, which have no descriptor of a file.
struct Folder: Sendable {
    let path: String
    let faults: DiskFaults?

    /// A directory that is there.
    init(_ path: String) {
        self.path = path
        faults = nil
    }

    /// Makes the directory and those above it where they are missing, mode 0700.
    init(making path: String, faults: DiskFaults?) throws(StorageError) {
        self.path = path
        self.faults = faults
        var at = path.startIndex
        while at < path.endIndex {
            at = path[path.index(after: at)...].firstIndex(of: "/") ?? path.endIndex
            let part = String(path[..<at])
            guard mkdir(part, 0o700) == 0 || errno == EEXIST || errno == EROFS || errno == EISDIR else {
                throw .system(errno, "make the directory", part)
            }
        }
    }

    func path(_ name: String) -> String { path + "/" + name }

    func open(_ name: String, _ flags: Int32) throws(StorageError) -> Descriptor {
        try Descriptor.open(path(name), flags, faults)
    }

    /// The names in it, in no order, without `.` and `..`.
    func names() throws(StorageError) -> [String] {
        guard let stream = opendir(path) else { throw .system(errno, "list", path) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Removes a file; one that is not there is no error.
    func remove(_ name: String) throws(StorageError) {
        try faults?.check(.unlink, path(name))
        guard unlink(path(name)) == 0 || errno == ENOENT else { throw .system(errno, "remove", path(name)) }
    }

    /// Renames over what is there.
    ///
    /// - Returns: false where there is no file of the first name.
    @discardableResult
    func rename(_ old: String, to new: String) throws(StorageError) -> Bool {
        try faults?.check(.rename, path(old))
        if Glibc.rename(path(old), path(new)) == 0 { return true }
        guard errno == ENOENT else { throw .system(errno, "rename", path(old)) }
        return false
    }

    /// Names made, renamed and removed before are so after a power loss.
    func sync() throws(StorageError) {
        try faults?.check(.sync, path)
        let directory = try Descriptor.open(path, O_RDONLY | O_DIRECTORY, nil)
        guard fsync(directory.number) == 0 else { throw .system(errno, "sync", path) }
    }

    /// The whole of a small file, or nil where there is none.
    func contents(_ name: String) throws(StorageError) -> String? {
        guard access(path(name), F_OK) == 0 else { return nil }
        let file = try open(name, O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = try read(file, into: &bytes)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Replaces a small file, whole or not at all, and makes that survive a power loss.
    func replace(_ name: String, with text: String) throws(StorageError) {
        let file = try open(name + ".new", O_WRONLY | O_CREAT | O_TRUNC)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: text.utf8)
        try file.write(UnsafeRawBufferPointer(bytes), at: 0)
        try file.sync()
        try rename(name + ".new", to: name)
        try sync()
    }

    private func read(_ file: Descriptor, into bytes: inout [UInt8]) throws(StorageError) -> Int {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { buffer.deallocate() }
        let count = try file.read(into: buffer, at: 0)
        bytes.replaceSubrange(0..<count, with: buffer[0..<count])
        return count
    }
}
