// SPDX-License-Identifier: Apache-2.0

import GRDB

extension Catalog {
    /// The schema's history. Append only: a migration that was released is never edited.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER, text TEXT) WITHOUT ROWID;
                    CREATE TABLE agents (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, upTo INTEGER NOT NULL);

                    -- kind: 0 tombstone, 1 directory, 2 symlink, 3 inline, 4 object. (agent, number): its publication.
                    CREATE TABLE entries (
                        key TEXT NOT NULL PRIMARY KEY, parent TEXT NOT NULL, name TEXT NOT NULL,
                        kind INTEGER NOT NULL, manifest BLOB, agent INTEGER NOT NULL, number INTEGER NOT NULL,
                        time INTEGER NOT NULL, encoded BLOB NOT NULL
                    );
                    CREATE INDEX entriesByParent ON entries (parent, name);
                    CREATE INDEX entriesByAgent ON entries (agent, number);
                    CREATE INDEX entriesByManifest ON entries (manifest) WHERE manifest IS NOT NULL;
                    CREATE INDEX tombstones ON entries (time) WHERE kind = 0;

                    -- Directories implied by live entries below them; local, made from the entries as they are applied.
                    CREATE TABLE directories (
                        parent TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (parent, name)
                    ) WITHOUT ROWID;

                    -- held 0 stays for as long as a tombstone does: replicas must learn of it.
                    CREATE TABLE holdings (
                        manifest BLOB NOT NULL, agent INTEGER NOT NULL, held INTEGER NOT NULL, number INTEGER NOT NULL,
                        time INTEGER NOT NULL, PRIMARY KEY (manifest, agent)
                    ) WITHOUT ROWID;
                    CREATE INDEX holdingsByAgent ON holdings (agent, number);

                    CREATE TABLE objects (
                        manifest BLOB NOT NULL PRIMARY KEY, size INTEGER NOT NULL, whole INTEGER NOT NULL,
                        readAt INTEGER NOT NULL
                    ) WITHOUT ROWID;
                    CREATE INDEX objectsByRead ON objects (readAt);
                    CREATE TABLE pins (key TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
                    CREATE TABLE watermarks (segment INTEGER PRIMARY KEY, position INTEGER NOT NULL);
                    """
            )
        }
        migrator.registerMigration("2") { db in
            // Whether a power loss may have taken an object's chunks: see ``Catalog/beginSync()``.
            try db.execute(sql: "ALTER TABLE objects ADD COLUMN generation INTEGER NOT NULL DEFAULT 0")
        }
        migrator.registerMigration("3") { db in
            try db.execute(
                sql: """
                    -- What a key named before: bases for what it names next. Local, a few for each key.
                    CREATE TABLE former (
                        key TEXT NOT NULL, manifest BLOB NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (key, manifest)
                    ) WITHOUT ROWID;
                    CREATE INDEX formerByManifest ON former (manifest);
                    """
            )
        }
        return migrator
    }
}

extension Int64 {
    /// The bit pattern of an unsigned number.
    init(bits: UInt64) { self.init(bitPattern: bits) }
}

extension UInt64 {
    init(bits: Int64) { self.init(bitPattern: bits) }
}
