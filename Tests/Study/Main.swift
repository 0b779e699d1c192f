// SPDX-License-Identifier: Apache-2.0

import ProbeSupport

/// `larder-study --old FILE --new FILE [--level N]`: one JSON object with what crosses a link for NEW when the receiver
/// holds OLD, by kind, and what it costs; no network, no store. `hack/study` prints it beside the floor.
@main
struct Main {
    static func main() {
        let probe = Probe("larder-study", usage: "--old FILE --new FILE [--level N]")
        probe.run {
            let old = try MappedObject(probe.required("--old"))
            let new = try MappedObject(probe.required("--new"))
            let level = probe.value(of: "--level").flatMap { Int32($0) }
            return try Study(old: old, new: new, level: level).report
        }
    }
}
