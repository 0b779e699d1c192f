// SPDX-License-Identifier: Apache-2.0

import Control
import Foundation
import Glibc

/// Which control socket is meant.
enum SocketPath {
    static let admin = "/run/larder/agent.sock"
    static let directory = "/run/larder"

    /// - Throws: ``UsageError`` where several volumes have one and none was named.
    static func find(given: String?) throws -> String {
        if let given { return given }
        if let path = ProcessInfo.processInfo.environment["LARDER_SOCKET"], !path.isEmpty { return path }
        if access(admin, W_OK) == 0 { return admin }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let paths = names.sorted().map { name -> String in "\(directory)/\(name)/agent.sock" }
            .filter { path in access(path, F_OK) == 0 }
        guard paths.count <= 1 else {
            throw UsageError(
                message: "there are several sockets, name one with --socket: \(paths.joined(separator: ", "))")
        }
        return paths.first ?? admin
    }
}
