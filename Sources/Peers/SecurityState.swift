// SPDX-License-Identifier: Apache-2.0

import Content

/// What a peer service knows of certificates, and what it has said about them already.
struct SecurityState {
    /// Manifests whose namespaces are remembered; beyond them the oldest knowledge goes.
    static let grantCountMax = 10_000
    /// Objects whose block lists are being gone through for callers with limited rights.
    static let scopeCountMax = 16
    /// Refusals that were logged or are shown; one more of a new kind is only counted.
    static let refusalCountMax = 256

    /// The namespaces that named an object when its reader began.
    struct Grant {
        var namespaces: Set<String>
        var until: ContinuousClock.Instant
    }

    /// Who an agent proved to be when it was last heard.
    var authorities: [AgentID: Authority] = [:]
    var grants: [Digest: Grant] = [:]
    var scopes: [Digest: ObjectScope] = [:]
    /// Why the last call to an address failed.
    var callFailures: [PeerAddress: String] = [:]
    /// Namespaces in which others refuse what this agent publishes, with their names.
    var refusedBy: [String: Set<String>] = [:]
    private var reported: Set<String> = []

    /// Whether something is said for the first time.
    mutating func isNew(_ what: String) -> Bool {
        guard reported.count < SecurityState.refusalCountMax else { return false }
        return reported.insert(what).inserted
    }

    /// Adds the namespaces that name an object now, or recalls those that did.
    mutating func grant(_ manifest: Digest, named: Set<String>, for duration: Duration) -> Set<String> {
        let now = ContinuousClock.now
        guard named.isEmpty else {
            if grants.count >= SecurityState.grantCountMax { grants = grants.filter { $0.value.until > now } }
            if grants.count >= SecurityState.grantCountMax,
                let oldest = grants.min(by: { $0.value.until < $1.value.until })
            {
                grants[oldest.key] = nil
            }
            grants[manifest] = Grant(namespaces: named, until: now + duration)
            return named
        }
        guard let grant = grants[manifest], grant.until > now else { return [] }
        return grant.namespaces
    }

    mutating func keep(_ scope: ObjectScope, of manifest: Digest) {
        if scopes[manifest] == nil, scopes.count >= SecurityState.scopeCountMax,
            let oldest = scopes.min(by: { $0.value.used < $1.value.used })
        {
            scopes[oldest.key] = nil
        }
        scopes[manifest] = scope
    }
}

/// The blocks of an object, and where in them its last reader was: requests mostly go on from there.
struct ObjectScope {
    let blocks: [Digest]
    var at = 0
    var used = ContinuousClock.now
}
