// SPDX-License-Identifier: Apache-2.0

import Content
import NIOConcurrencyHelpers
import Storage

/// The objects that readers and prefetches have open, by manifest.
final class OpenObjects: Sendable {
    private let store: Store
    private let table = NIOLockedValueBox<[Digest: (object: OpenObject, holders: Int)]>([:])

    init(store: Store) { self.store = store }

    /// The shared object of a manifest; every call is paired with one of ``close(_:)``.
    func open(_ manifest: Digest) throws(StorageError) -> OpenObject {
        if let object = hold(manifest) { return object }
        let whole = try store.catalog.object(manifest)?.isWhole ?? false
        return table.withLockedValue { table in
            if let open = table[manifest] {
                table[manifest]?.holders += 1
                return open.object
            }
            let object = OpenObject(manifest: manifest, whole: whole, store: store)
            table[manifest] = (object, 1)
            return object
        }
    }

    private func hold(_ manifest: Digest) -> OpenObject? {
        table.withLockedValue { table in
            guard let open = table[manifest] else { return nil }
            table[manifest]?.holders += 1
            return open.object
        }
    }

    func close(_ object: OpenObject) {
        table.withLockedValue { table in
            guard let open = table[object.manifest] else { return }
            table[object.manifest] = open.holders > 1 ? (open.object, open.holders - 1) : nil
        }
    }

    /// Whether this very object is open, not a later one of the same manifest.
    func isOpen(_ object: OpenObject) -> Bool { table.withLockedValue { $0[object.manifest]?.object === object } }

    func contains(_ manifest: Digest) -> Bool { table.withLockedValue { $0[manifest] != nil } }

    var manifests: [Digest] { table.withLockedValue { Array($0.keys) } }
}
