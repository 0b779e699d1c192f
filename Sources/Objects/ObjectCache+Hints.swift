// SPDX-License-Identifier: Apache-2.0

import Content
import Peers

extension ObjectCache {
    /// Tells sites that keys will be read there soon; they fetch them in the background, readers first.
    ///
    /// - Returns: one report for each key and site; a site that could not be asked is reported as `failed`.
    public func hint(_ request: HintRequest) async -> [HintReport] {
        let message = request.message(wallMilliseconds: WallClock.milliseconds())
        guard !request.sites.isEmpty else { return await hint(message, to: nil) }
        return await withTaskGroup(of: [HintReport].self) { group in
            for site in Set(request.sites) {
                group.addTask { await self.hint(message, to: site) }
            }
            var reports: [HintReport] = []
            for await part in group { reports += part }
            return reports.sorted { ($0.site, $0.key) < ($1.site, $1.key) }
        }
    }

    private func hint(_ message: Hint, to site: String?) async -> [HintReport] {
        do {
            return try await peers.hint(message, to: site).map(HintReport.init)
        } catch {
            return message.keys.map {
                HintReport(
                    site: site ?? "every other site", key: $0, state: .failed, missing: 0, eta: nil, message: "\(error)"
                )
            }
        }
    }
}
