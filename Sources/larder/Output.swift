// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// What verbs write, besides objects.
enum Output {
    /// A line on stderr.
    static func line(_ text: String) { write(text + "\n", to: STDERR_FILENO) }

    /// A value as one line of JSON.
    static func json(_ value: some Encodable, to descriptor: CInt = STDOUT_FILENO) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        write(String(decoding: try encoder.encode(value), as: UTF8.self) + "\n", to: descriptor)
    }

    /// Rows as columns that line up; the last one is not padded.
    static func table(_ rows: [[String]]) {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        for row in rows {
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            write(cells.joined(separator: "  ") + "\n", to: STDOUT_FILENO)
        }
    }

    /// Text that goes where it can: a closed terminal or pipe is no reason to fail.
    static func write(_ text: String, to descriptor: CInt) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
