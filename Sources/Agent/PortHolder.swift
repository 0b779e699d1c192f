// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Who listens at a port of this node, for an error that says so.
public enum PortHolder {
    /// `process 4711 (nginx)`; nil where that cannot be told, as of a process in another PID namespace.
    public static func describe(port: UInt16) -> String? {
        let sockets = Set(["tcp", "tcp6"].flatMap { listening(in: contents("/proc/net/\($0)"), at: port) })
        guard !sockets.isEmpty else { return nil }
        for pid in names("/proc") where Int32(pid) != nil {
            let at = "/proc/\(pid)/fd"
            for descriptor in names(at) {
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(at)/\(descriptor)")
                guard let target, sockets.contains(target) else { continue }
                let name = contents("/proc/\(pid)/comm").trimmingCharacters(in: .whitespacesAndNewlines)
                return "process \(pid) (\(name))"
            }
        }
        return nil
    }

    /// Sockets of a table of the kernel's (`/proc/net/tcp`) that listen at a port, as descriptors are named for them.
    public static func listening(in table: String, at port: UInt16) -> [String] {
        table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            // Local address, its port in hexadecimal; the state, of which 0A is LISTEN; and, as the tenth, the inode.
            guard fields.count > 9, fields[3] == "0A", let hex = fields[1].split(separator: ":").last,
                UInt16(hex, radix: 16) == port
            else { return nil }
            return "socket:[\(fields[9])]"
        }
    }

    private static func names(_ path: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    }

    private static func contents(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
