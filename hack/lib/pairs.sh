# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What other tools make of a pair of files: the bytes that each would send for NEW where OLD is held.

# pair_bytes TOOL OLD NEW DIRECTORY: prints the bytes; DIRECTORY is made and removed.
pair_bytes() {
    local tool=$1 old=$2 new=$3 at=$4
    mkdir -p "$at"
    case $tool in
        "zstd-3 patch-from") zstd -q -3 --patch-from="$old" --long=31 -c "$new" | wc -c ;;
        "zstd -3") zstd -q -3 -c "$new" | wc -c ;;
        casync) casync_growth "$old" "$new" "$at" ;;
        restic) restic_growth "$old" "$new" "$at" ;;
        "rsync -z")
            cp "$old" "$at/file"
            rsync -z --no-whole-file --stats "$new" "$at/file" | tr -d ',' | awk '/^Total bytes sent/ { print $NF }' ;;
    esac
    rm -rf --one-file-system "$at"
}

# Of the store, with the index of the new file.
casync_growth() {
    local before
    casync make --store="$3/store" "$3/old.caibx" "$1" >/dev/null 2>&1
    before=$(du -sb "$3/store" | cut -f 1)
    casync make --store="$3/store" "$3/new.caibx" "$2" >/dev/null 2>&1
    echo $(( $(du -sb "$3/store" | cut -f 1) - before + $(stat -c %s "$3/new.caibx") ))
}

restic_growth() {
    local before
    export RESTIC_PASSWORD=bench RESTIC_REPOSITORY=$3/repository RESTIC_CACHE_DIR=$3/cache
    restic init -q
    restic backup -q --stdin --stdin-filename file <"$1" >/dev/null
    before=$(du -sb "$3/repository" | cut -f 1)
    restic backup -q --stdin --stdin-filename file <"$2" >/dev/null
    echo $(( $(du -sb "$3/repository" | cut -f 1) - before ))
}
