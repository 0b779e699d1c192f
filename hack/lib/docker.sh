# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Private Docker daemons: own roots and sockets, no bridge and no firewall rules, so that nothing of the machine's own
# Docker is touched. Needs root.

# start_docker DIRECTORY: a daemon below DIRECTORY, stopped and removed at the end; its socket is DIRECTORY/docker.sock.
start_docker() {
    local at=$1 pid
    local -a options=(
        --data-root "$at/root" --exec-root "$at/exec" --pidfile "$at/docker.pid" -H "unix://$at/docker.sock"
        --iptables=false --ip6tables=false --bridge=none
    )
    mkdir -p "$at"
    # Docker 29 saves compressed layers by default, which hide equal content; see daemonset/examples.
    if dockerd --help 2>/dev/null | grep -q -- '--feature'; then
        options+=(--feature=containerd-snapshotter=false)
    fi
    # A session of its own: Ctrl-C reaches this script first, which then stops its daemons in order.
    setsid dockerd "${options[@]}" >"$at/dockerd.log" 2>&1 </dev/null &
    pid=$!
    later stop_docker "$at" "$pid"
    until_true 60 docker -H "unix://$at/docker.sock" info || { tail -n 5 "$at/dockerd.log" >&2; die "dockerd did not start"; }
}

stop_docker() {
    stop "$2" 30
    detach_below "$1"
    rm -rf --one-file-system "$1"
}

# image_id SOCKET TAG
image_id() { docker -H "unix://$1" image inspect --format '{{.Id}}' "$2"; }
