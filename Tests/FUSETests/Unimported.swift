// SPDX-License-Identifier: Apache-2.0

import Foundation

/// System calls that the platform's Swift module leaves out, found by name.
enum Unimported {
    private typealias Get =
        @convention(c) (
            UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int
        ) -> Int
    private typealias Set =
        @convention(c) (
            UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeRawPointer, Int, Int32
        ) -> Int32
    private typealias List = @convention(c) (UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int
    private typealias Remove = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32
    private typealias Rename =
        @convention(c) (
            Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32
        ) -> Int32

    private typealias Allocate = @convention(c) (Int32, Int32, Int, Int) -> Int32

    static let seekData: Int32 = 3
    static let seekHole: Int32 = 4

    /// Each gives the result or the negated errno; `size` is the buffer's.
    static func getxattr(_ path: String, _ name: String, size: Int) -> Int {
        guard let function = find("getxattr", Get.self) else { return -Int(ENOSYS) }
        return withUnsafeTemporaryAllocation(byteCount: max(size, 1), alignment: 1) {
            errnoNegated(function(path, name, $0.baseAddress, size))
        }
    }

    static func setxattr(_ path: String, _ name: String, _ value: [UInt8]) -> Int {
        guard let function = find("setxattr", Set.self) else { return -Int(ENOSYS) }
        return errnoNegated(Int(function(path, name, value, value.count, 0)))
    }

    static func listxattr(_ path: String, size: Int) -> Int {
        guard let function = find("listxattr", List.self) else { return -Int(ENOSYS) }
        return withUnsafeTemporaryAllocation(byteCount: max(size, 1), alignment: 1) {
            errnoNegated(function(path, $0.baseAddress, size))
        }
    }

    static func removexattr(_ path: String, _ name: String) -> Int {
        guard let function = find("removexattr", Remove.self) else { return -Int(ENOSYS) }
        return errnoNegated(Int(function(path, name)))
    }

    static func renameNoReplace(_ path: String, _ newPath: String) -> Int {
        guard let function = find("renameat2", Rename.self) else { return -Int(ENOSYS) }
        return errnoNegated(Int(function(AT_FDCWD, path, AT_FDCWD, newPath, 1)))
    }

    static func fallocate(_ file: Int32, mode: Int32, offset: Int, length: Int) -> Int {
        guard let function = find("fallocate", Allocate.self) else { return -Int(ENOSYS) }
        return errnoNegated(Int(function(file, mode, offset, length)))
    }

    private static func find<Function>(_ name: String, _ type: Function.Type) -> Function? {
        // Safety: the types above are those of the functions' declarations.
        dlsym(nil, name).map { unsafeBitCast($0, to: type) }
    }
}
