// SPDX-License-Identifier: Apache-2.0

/// Where those values stand that can contradict one another.
struct ConfigurationPlaces {
    var listen = ConfigurationOrigin.absent
    var control = ConfigurationOrigin.absent
    var links: [ConfigurationOrigin] = []
    var volumes: [ConfigurationOrigin] = []
}

extension AgentConfiguration {
    /// The faults of values that are each right but not together.
    func conflicts(places: ConfigurationPlaces) -> [ConfigurationProblem] {
        listenConflicts(places) + linkConflicts(places) + volumeConflicts(places)
    }

    private func listenConflicts(_ places: ConfigurationPlaces) -> [ConfigurationProblem] {
        guard !listen.isLoopback, !insecure else { return [] }
        return [
            ConfigurationProblem(
                places.listen,
                field: "listen",
                "\(listen) can be reached from other hosts, and agents speak plaintext as yet: write 'insecure: true' "
                    + "where the network is trusted, or listen on 127.0.0.1"
            )
        ]
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
