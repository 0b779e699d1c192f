# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What a job waits for: from `docker save` begun in one site to `docker load` done in the other, with real daemons, beside
# `docker save` and `docker load` of a local file in the same run. DESIGN §13's second and third row.
# Reads: scratch, root, runs (hack/bench's). Needs lib/agents.sh and lib/docker.sh.
# shellcheck disable=SC2154

# Megabytes of the image.
road_size=400

docker_of() { docker -H "unix://$scratch/$1/docker.sock" "${@:2}"; }

# road_build NUMBER: builds the image again; all its layers are new.
road_build() {
    docker_of basement build --quiet --no-cache --tag "larder/road:$1" "$scratch/context" >"$scratch/log" 2>&1 \
        || { cat "$scratch/log" >&2; die "docker build failed"; }
}

# road_drop NUMBER: both daemons forget it, so that the next load is as much work.
road_drop() {
    docker_of basement image rm -f "larder/road:$1" >/dev/null
    docker_of cloud image rm -f "larder/road:$1" >/dev/null
}

same_image() {
    [[ $(docker_of basement image inspect --format '{{.Id}}' "$1") == "$(docker_of cloud image inspect --format '{{.Id}}' "$1")" ]] \
        || die "image $1 arrived different"
}

# road_local NUMBER: prints the seconds of a save and a load by way of a file.
road_local() {
    local start seconds
    start=$(now)
    docker_of basement save --output "$scratch/local.tar" "larder/road:$1"
    docker_of cloud load --quiet --input "$scratch/local.tar" >/dev/null
    seconds=$(since "$start")
    same_image "larder/road:$1"
    echo "$seconds"
}

# road_far NUMBER HINT: prints the same by way of the mounts of two sites; with HINT the other site is told before.
road_far() {
    local start seconds key=ci/road/$1.tar
    mkdir -p "$(mount_of basement-1)/road"
    start=$(now)
    if [[ -n $2 ]]; then client basement-1 hint "$key" --site cloud >/dev/null 2>&1; fi
    docker_of basement save --output "$(mount_of basement-1)/road/$1.tar" "larder/road:$1"
    client cloud-1 wait "$key" --timeout 60s >/dev/null 2>&1
    docker_of cloud load --quiet --input "$(mount_of cloud-1)/road/$1.tar" >/dev/null
    seconds=$(since "$start")
    same_image "larder/road:$1"
    echo "$seconds"
}

bench_road() {
    local number=1 run packed first at=$scratch/road
    have dockerd || die "road needs dockerd (Debian: apt-get install docker.io)"
    export DOCKER_CONFIG=$scratch/docker DOCKER_BUILDKIT=0
    unset DOCKER_HOST DOCKER_CONTEXT
    two_sites
    start_docker "$scratch/basement"
    start_docker "$scratch/cloud"
    mkdir "$scratch/context"
    python3 "$root/hack/lib/image.py" fill "$scratch/context" "$road_size"
    say "road: an image of $road_size MB that the other site has nothing of"
    road_build 1
    first=$(road_far 1 hint)
    packed=$(zstd -q -3 -c "$(mount_of basement-1)/road/1.tar" | wc -c)
    road_drop 1
    : >"$at.local"; : >"$at.hinted"; : >"$at.plain"
    for (( run = 1; run <= runs; run++ )); do
        for way in local hinted plain; do
            (( number += 1 ))
            python3 "$root/hack/lib/image.py" rebuild "$scratch/context" "$number"
            road_build "$number"
            say "road: rebuilt, $way, run $run of $runs"
            case $way in
                local) road_local "$number" ;;
                hinted) road_far "$number" hint ;;
                plain) road_far "$number" '' ;;
            esac >>"$at.$way"
            road_drop "$number"
        done
    done
    end_sites
    row road "rebuilt, hinted" "save begun to load done" "$(median <"$at.hinted")" s "save and load of a local file" "$(median <"$at.local")"
    row road "rebuilt, no hint" "save begun to load done" "$(median <"$at.plain")" s "save and load of a local file" "$(median <"$at.local")"
    row road "new, hinted" "save begun to load done" "$first" s "zstd -3 over the link's rate" "$packed / 6250000"
}
