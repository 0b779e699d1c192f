// SPDX-License-Identifier: Apache-2.0

import Content
import Logging
import Storage

/// Keeps objects for readers elsewhere that have opened them before they were whole there (P3).
enum Leases {
    /// Holds an object open for a while, so that the collector leaves it alone.
    ///
    /// - Returns: false where it is not whole here: somebody else is to be asked.
    static func keep(
        _ manifest: Digest,
        for duration: Duration,
        _ objects: OpenObjects,
        _ jobs: Jobs,
        _ logger: Logger
    ) -> Bool {
        guard let object = try? objects.open(manifest) else { return false }
        guard object.isWhole else {
            objects.close(object)
            return false
        }
        return jobs.submit {
            do {
                defer { objects.close(object) }
                try await Task.sleep(for: duration)
            } catch is CancellationError {
                // The agent stops; its successor is asked again.
            } catch {
                logger.warning("lease not kept", metadata: ["manifest": "\(manifest)", "error": "\(error)"])
            }
        }
    }
}
