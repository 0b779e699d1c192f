// SPDX-License-Identifier: Apache-2.0

import ProbeSupport

/// `larder-stages --new FILE [--old FILE]`: one JSON object with core-seconds per byte of each stage over FILE.
@main
struct Main {
    static func main() {
        let probe = Probe("larder-stages", usage: "--new FILE [--old FILE]")
        probe.run {
            let new = try probe.required("--new")
            var stages = Stages()
            if let old = probe.value(of: "--old") { try stages.learn(old) }
            try stages.measure(new)
            let fuse = try FUSEStages.measure()
            let bytes = Double(max(1, stages.bytes))
            var object: [String: Any] = [
                "bytes": stages.bytes,
                "chunks": stages.chunkCount,
                "stored_bytes": stages.storedBytes,
                "new_chunks": stages.newChunkCount,
                "new_chunks_bytes": stages.newBytes,
                "new_chunks_stored_bytes": stages.newStoredBytes,
            ]
            for (stage, seconds) in stages.seconds { object[stage] = seconds / bytes }
            object["fuse_write"] = fuse.write
            object["fuse_read"] = fuse.read
            return object
        }
    }
}
