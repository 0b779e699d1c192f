// SPDX-License-Identifier: Apache-2.0

import FUSE
import Foundation
import Testing

/// Runs the body with the file system mounted in a directory of its own, and takes it down after.
func mounted(
    _ operations: any Operations,
    options: SessionOptions = SessionOptions(),
    _ body: (Session, String) async throws -> Void
) async throws {
    let path = try emptyDirectory()
    let session = try Session(mountPoint: path, options: options, operations: operations)
    try session.mount()
    #expect(session.isServing)
    do {
        try await body(session, session.mountPoint)
    } catch {
        await onThread { session.stop() }
        throw error
    }
    await onThread { session.stop() }
    #expect(!session.isServing)
    #expect(MountTable.entries(at: session.mountPoint).isEmpty)
    #expect(rmdir(path) == 0)
}

func emptyDirectory() throws -> String {
    let directory = URL(fileURLWithPath: NSTemporaryDirectory()).resolvingSymlinksInPath().path
    var template = Array((directory + "/larder-fuse-XXXXXX").utf8CString)
    return try template.withUnsafeMutableBufferPointer { buffer in
        let made = try #require(buffer.baseAddress.flatMap { mkdtemp($0) })
        return String(cString: made)
    }
}
