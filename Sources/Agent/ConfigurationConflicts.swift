// SPDX-License-Identifier: Apache-2.0

/// Where those values stand that can contradict one another.
struct ConfigurationPlaces {
    var listen = ConfigurationOrigin.absent
    var insecure = ConfigurationOrigin.absent
    var allow = ConfigurationOrigin.absent
    var peers = ConfigurationOrigin.absent
    var control = ConfigurationOrigin.absent
    var links: [ConfigurationOrigin] = []
    var volumes: [ConfigurationOrigin] = []
}

extension AgentConfiguration {
    /// The faults of values that are each right but not together.
    func conflicts(places: ConfigurationPlaces) -> [ConfigurationProblem] {
        securityConflicts(places) + linkConflicts(places) + volumeConflicts(places)
    }

    /// Plaintext leaves this host only where somebody said so.
    private func securityConflicts(_ places: ConfigurationPlaces) -> [ConfigurationProblem] {
        guard tls == nil else { return tlsConflicts(places) }
        guard !insecure else { return [] }
        let remedy =
            "agents speak plaintext without certificates: give 'tls' (see 'larder pki'), or write 'insecure: true' where "
            + "the network is trusted"
        guard listen.isLoopback else {
            return [
                ConfigurationProblem(
                    places.listen, field: "listen", "\(listen) can be reached from other hosts, and \(remedy)")
            ]
        }
        if let far = (peers.static + [peers.dns].compactMap { $0 }).first(where: { !$0.isLoopback }) {
            return [ConfigurationProblem(places.peers, field: "peers", "\(far) is another host, and \(remedy)")]
        }
        for (index, (link, place)) in zip(links, places.links).enumerated() {
            guard let far = link.address, !far.isLoopback else { continue }
            let field = "links[\(index)].address"
            return [ConfigurationProblem(place, field: field, "\(far) is another host, and \(remedy)")]
        }
        return []
    }

    private func tlsConflicts(_ places: ConfigurationPlaces) -> [ConfigurationProblem] {
        var problems: [ConfigurationProblem] = []
        if insecure {
            problems.append(
                ConfigurationProblem(
                    places.insecure, field: "insecure", "agents speak TLS where 'tls' is given: leave one of them out")
            )
        }
        if let allow, let lacking = ([site] + links.map(\.site)).first(where: { !allow.contains($0) }) {
            let reason = lacking == site ? "this agent's own site" : "linked"
            problems.append(
                ConfigurationProblem(places.allow, field: "allow", "site '\(lacking)' is \(reason) and not in it"))
        }
        return problems
    }

    private func linkConflicts(_ places: ConfigurationPlaces) -> [ConfigurationProblem] {
        var problems: [ConfigurationProblem] = []
        for (index, (link, place)) in zip(links, places.links).enumerated() {
            let field = "links[\(index)].site"
            if link.site == site {
                problems.append(ConfigurationProblem(place, field: field, "'\(link.site)' is the site of this agent"))
            } else if links.prefix(index).contains(where: { $0.site == link.site }) {
                problems.append(ConfigurationProblem(place, field: field, "there is a link to '\(link.site)' already"))
            }
        }
        return problems
    }

    private func volumeConflicts(_ places: ConfigurationPlaces) -> [ConfigurationProblem] {
        var problems: [ConfigurationProblem] = []
        for (index, (volume, place)) in zip(volumes, places.volumes).enumerated() {
            let report = { (field: String, message: String) in
                problems.append(ConfigurationProblem(place, field: "volumes[\(index)].\(field)", message))
            }
            let earlier = volumes.prefix(index)
            if earlier.contains(where: { $0.name == volume.name }) {
                report("name", "there is a volume '\(volume.name)' already")
            } else if let other = earlier.first(where: { $0.namespace == volume.namespace }) {
                report("namespace", "volume '\(other.name)' shows namespace '\(volume.namespace)' already")
            }
            if let other = earlier.first(where: { isWithin($0.path, volume.path) || isWithin(volume.path, $0.path) }) {
                report("path", "'\(volume.path)' and '\(other.path)' of volume '\(other.name)' are within one another")
            }
            if isWithin(store.path, volume.path) || isWithin(volume.path, store.path) {
                report("path", "'\(volume.path)' and the store's '\(store.path)' are within one another")
            }
            if isWithin(control, volume.path) {
                report("path", "the admin socket '\(control)' would be within the volume, for every job to see")
            }
            if let hold, isWithin(hold, volume.path) {
                report("path", "the holder's socket '\(hold)' would be within the volume, for every job to see")
            }
            if volume.socketPath.utf8.count > socketPathByteCountMax {
                report(
                    "path",
                    "'\(volume.socketPath)' is too long: a socket's path has at most \(socketPathByteCountMax) bytes"
                )
            }
        }
        return problems
    }
}

/// Whether a path is another or below it.
private func isWithin(_ path: String, _ directory: String) -> Bool {
    path == directory || path.hasPrefix(directory + "/")
}
