# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The `mount` part of hack/bench: a mount of ours beside other FUSE file systems over the same bytes, and beside the
# local file system that is below all of them.
# Reads: scratch, larder, root, runs, cores, and hack/bench's row, say, warm, stages, fresh.
# shellcheck disable=SC2154

# Files of 2 KiB in a copy, and names in a large directory.
small_files=20000
many_names=100000
# Processes of the peers, by name, for their memory.
declare -A peer_pid

fs() { python3 "$root/hack/lib/filesystem.py" "$@"; }
# measure_fs NAME VERB…: keeps what was measured as $scratch/mount/NAME.VERB
measure_fs() { fs "${@:2}" >"$at/$1.$2"; }

# start_peer NAME COMMAND…: in the background; true once something is mounted at $at/NAME.
start_peer() {
    local name=$1; shift
    mkdir -p "$at/$name"
    "$@" >"$at/$name.log" 2>&1 </dev/null &
    peer_pid[$name]=$!
    later stop_peer "$name"
    until_true 20 mountpoint -q "$at/$name" && return
    say "$name does not run here: $(tail -n 1 "$at/$name.log")"
    stop_peer "$name"
    return 1
}
stop_peer() {
    umount -l "$scratch/mount/$1" 2>/dev/null || true
    stop "${peer_pid[$1]}"
}

# The peers that run here, into `peers`.
start_peers() {
    local below=$1
    printf '#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n' >"$at/sftp"
    chmod +x "$at/sftp"
    start_peer rclone rclone mount "$below" "$at/rclone" --vfs-cache-mode full --cache-dir "$at/rclone.cache" \
        --config /dev/null && peers+=(rclone)
    start_peer sshfs sshfs -f -o ssh_command="$at/sftp" local:"$below" "$at/sshfs" && peers+=(sshfs)
    start_peer bindfs bindfs -f "$below" "$at/bindfs" && peers+=(bindfs)
    mksquashfs "$below" "$at/image" -comp zstd -Xcompression-level 1 -no-progress >/dev/null 2>&1
    start_peer squashfuse squashfuse -f "$at/image" "$at/squashfuse" && peers+=(squashfuse)
    return 0
}

# compare CASE METRIC UNIT VERB EXPRESSION PEER…: a row for every peer that has the measure.
compare() {
    local case=$1 metric=$2 unit=$3 verb=$4 expression=$5 peer ours
    shift 5
    ours=$(jq "$expression" "$at/larder.$verb")
    for peer in "$@"; do
        [[ ! -s $at/$peer.$verb ]] || row mount "$case" "$metric" "$ours" "$unit" "$peer" "$(jq "$expression" "$at/$peer.$verb")"
    done
}

# Every measure that only reads, of a directory that holds input, small and many.
measure_reads() {
    local name=$1 directory=$2
    say "$name: reads"
    measure_fs "$name" read "$directory/input" "$runs"
    measure_fs "$name" random "$directory/input" 4000
    measure_fs "$name" readers "$directory/input" 16
    measure_fs "$name" list "$directory/many"
    measure_fs "$name" stat "$directory/small"
}
measure_writes() {
    local name=$1 directory=$2
    say "$name: writes"
    measure_fs "$name" write "$at/below/input" "$directory/written"
    measure_fs "$name" copy "$at/below/small" "$directory/copy"
}

# sample NAME: the agent's anonymous memory from now on, into $at/NAME when $sampler is told to end.
sample() {
    python3 "$root/hack/lib/measure.py" memory "${agent_pid[local-1]}" >"$at/$1" &
    sampler=$!
    later stop "$sampler"
}

bench_mount() {
    local file=$1 at=$scratch/mount below=$scratch/mount/below mnt name sampler resident
    local -a peers=()
    mkdir -p "$below"
    cp "$file" "$below/input"
    say "making $small_files small files and $many_names names"
    fs make "$below" "$small_files" "$many_names" >/dev/null
    warm "$below/input" "$below"/small/*/*

    fresh local-1
    mnt=$(mount_of local-1)
    sample larder.writing
    measure_writes larder "$mnt"
    cp "$below/input" "$mnt/input"
    cp -a "$below/small" "$mnt/small"
    fs names "$mnt/many" "$many_names" >/dev/null
    kill -TERM "$sampler"; wait "$sampler" || true
    # A new mount has no cached pages and names; the store's segments stay in the page cache.
    stop_agent local-1; start_agent local-1
    mnt=$(mount_of local-1)
    sample larder.memory
    measure_reads larder "$mnt"
    cmp "$below/input" "$mnt/input" || die "what was read is not what was written"
    kill -TERM "$sampler"; wait "$sampler" || true
    stop_agent local-1

    start_peers "$below"
    for name in "${peers[@]}"; do
        measure_reads "$name" "$at/$name"
        [[ $name == squashfuse ]] || measure_writes "$name" "$at/$name"
        resident=$(awk '/^RssAnon/ { print $2 * 1024 }' "/proc/${peer_pid[$name]}/status")
        echo "{\"bytes\": ${resident:-0}}" >"$at/$name.memory"
        stop_peer "$name"
        # What a peer writes lands below it, some of it after its caller was told.
        rm -rf "$below/written" "$below/copy"
    done
    measure_reads native "$below"
    mkdir "$at/native"
    measure_writes native "$at/native"
    mount_rows "$file" "${peers[@]}" native
    rm -rf --one-file-system "$at"
}

mount_rows() {
    local file=$1 sum ingest; shift
    stages "$file"
    sum=$(measure sum "$scratch/stages" "$cores" decompress checksum fuse_read | jq '.bytes_per_second / 1e6')
    ingest=$(measure sum "$scratch/stages" "$cores" cut sha256 compress checksum stage_write segment_write fuse_write | jq '.bytes_per_second / 1e6')
    row mount "read, first" throughput "$(jq .first "$at/larder.read")" MB/s "sum of its stages" "$sum"
    compare "read, first" throughput MB/s read .first "$@"
    compare "read, again" throughput MB/s read .again "$@"
    compare "read, 4 KiB at random" rate /s random .rate "$@"
    compare "read, 16 processes" throughput MB/s readers .rate "$@"
    row mount "write" throughput "$(jq .rate "$at/larder.write")" MB/s "sum of its stages" "$ingest"
    compare "write" throughput MB/s write .rate "$@"
    compare "cp -a of $small_files files" rate /s copy .rate "$@"
    compare "ls -l of $many_names, first" rate /s list "$many_names / .first" "$@"
    compare "ls -l of $many_names, again" rate /s list "$many_names / .again" "$@"
    compare "stat of $small_files, first" rate /s stat .first "$@"
    compare "stat of $small_files, again" rate /s stat .again "$@"
    row mount "all that was written" "anonymous memory" "$(jq '.bytes / 1048576' "$at/larder.writing")" MiB budget 256
    row mount "all that was read" "anonymous memory" "$(jq '.bytes / 1048576' "$at/larder.memory")" MiB budget 256
    compare "all that was read" "anonymous memory" MiB memory '.bytes / 1048576' "$@"
}
