// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers

/// The sources that requests lately needed.
final class DeltaSources: Sendable {
    /// Objects that are read across links at a time, as a rule; one more costs only time. Each has about 1 MiB for a
    /// gigabyte of its bases, besides the shapes.
    private static let keptMax = 4

    private struct State {
        var kept: [DeltaSource] = []
        /// Ends of sources that are being made: two requests must not read the same bases twice.
        var making: [Name: Signal] = [:]
    }

    private struct Name: Hashable {
        let manifest: Digest
        let bases: [Digest]
    }

    private enum Found {
        case known(DeltaSource)
        case underWay(Signal)
        case nobody(Signal)
    }

    private let state = NIOLockedValueBox(State())

    func source(for request: DeltaRequest, of manifest: Manifest, _ service: PeerService) async throws -> DeltaSource {
        let name = Name(manifest: request.manifest, bases: request.bases)
        while true {
            try Task.checkCancellation()
            switch find(name) {
            case .known(let source): return source
            case .underWay(let signal): await signal.wait()
            case .nobody(let signal):
                defer { end(name, signal) }
                let made = try await DeltaSource(request, of: manifest, service)
                keep(made)
                return made
            }
        }
    }

    private func find(_ name: Name) -> Found {
        state.withLockedValue { state in
            let known = state.kept.first { $0.manifest == name.manifest && $0.baseDigests == name.bases }
            if let known { return .known(known) }
            if let signal = state.making[name] { return .underWay(signal) }
            let signal = Signal()
            state.making[name] = signal
            return .nobody(signal)
        }
    }

    private func keep(_ source: DeltaSource) {
        state.withLockedValue { state in
            state.kept.append(source)
            if state.kept.count > DeltaSources.keptMax { state.kept.removeFirst() }
        }
    }

    private func end(_ name: Name, _ signal: Signal) {
        state.withLockedValue { $0.making[name] = nil }
        signal.set()
    }
}
