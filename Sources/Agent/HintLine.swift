// SPDX-License-Identifier: Apache-2.0

import Content
import Objects

/// The lines that a job writes to `.larder/hint`: keys of the volume's namespace, one a line.
enum HintLine {
    /// - Throws: ``ContentError`` where a line is no key or of another namespace; then none of them is announced.
    static func take(_ lines: [String], namespace: String, cache: ObjectCache) async throws {
        var keys: [Key] = []
        for line in lines {
            let key = try Key(line)
            guard key.namespace == namespace else {
                throw ContentError(.invalidKey, "this mount shows namespace '\(namespace)', and the key is '\(key)'")
            }
            keys.append(key)
        }
        guard !keys.isEmpty else { return }
        _ = await cache.hint(HintRequest(keys: keys))
    }
}
