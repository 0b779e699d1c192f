# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Private agents below $scratch, each in a node of the lab or, where $lab is empty, on loopback.
# Reads: scratch, larder, root, program (lib/shell.sh's) and lab (the lab's name).
# shellcheck disable=SC2154

# On loopback every agent has its own port; in the lab its own address.
declare -A agent_pid holder_pid agent_site agent_address agent_telemetry
volume() { echo "$scratch/$1/run/ci"; }
mount_of() { echo "$(volume "$1")/mnt"; }
client() { "$larder" "$2" --socket "$(volume "$1")/agent.sock" "${@:3}"; }

# in_node NODE COMMAND…: with the node's network; replaces the subshell that it runs in.
in_node() {
    local node=$1; shift
    if [[ -n $lab ]]; then exec "$root/hack/lab" --name "$lab" exec "$node" "$@"; else exec "$@"; fi
}

# start_lab SITES UPLINK DOWNLINK: false where network namespaces can't be had.
start_lab() {
    lab=$program-$$
    later "$root/hack/lab" --name "$lab" down
    "$root/hack/lab" --name "$lab" up --sites "$1" --uplink "$2" --downlink "$3" && return
    "$root/hack/lab" --name "$lab" down
    lab=
    return 1
}

# place NODE SITE: gives a node its addresses; every node is placed before the first is started.
place() {
    agent_site[$1]=$2
    if [[ -n $lab ]]; then
        agent_address[$1]=$("$root/hack/lab" --name "$lab" address "$1"):7420
        agent_telemetry[$1]=127.0.0.1:7421
    else
        local ports
        # Two ports that were free a moment ago: the configuration of one agent names those of the others.
        ports=$(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in held))')
        agent_address[$1]=127.0.0.1:${ports% *}
        agent_telemetry[$1]=127.0.0.1:${ports#* }
    fi
}

# start_agent NODE [UPLINK]: the nodes of its site are its peers; the first node of each site is the site's gateway
# and is linked with those of the other sites.
# Where $hold is set, a holder with that socket keeps the mounts, and the agent has a supervisor; $resend is its field.
start_agent() {
    local node=$1 site=${agent_site[$1]} other at=$scratch/$1 peers='' links='' uplink=${2:-}
    for other in "${!agent_site[@]}"; do
        [[ $other != "$node" ]] || continue
        if [[ ${agent_site[$other]} == "$site" ]]; then
            peers+="${peers:+, }\"${agent_address[$other]}\""
        elif [[ $node == *-1 && $other == *-1 ]]; then
            links+="${links:+, }{site: ${agent_site[$other]}, address: \"${agent_address[$other]}\"}"
        fi
    done
    mkdir -p "$at/store" "$at/run"
    {
        echo "site: $site"
        echo "name: $node"
        # A disk that is nearly full must not keep anybody from trying this.
        echo "store: {path: $at/store, freeFraction: 1%}"
        echo "listen: \"${agent_address[$node]}\""
        echo "insecure: true"
        [[ -z $peers ]] || echo "peers: {static: [$peers]}"
        # Only who is made to read has a copy: scripts count bytes and break holders.
        echo "copies: 1"
        [[ -z $links ]] || echo "links: [$links]"
        [[ -z $uplink || -z $links ]] || echo "uplink: $uplink"
        echo "volumes: [{name: ci, path: $(volume "$node")}]"
        [[ -z ${hold:-} ]] || echo "hold: $hold"
        [[ -z ${hold:-} ]] || echo "resend: ${resend:-auto}"
        echo "control: $at/run/agent.sock"
        echo "telemetry: {listen: \"${agent_telemetry[$node]}\"}"
        echo "log: {level: info, format: text}"
    } >"$at/agent.yaml"
    local -a supervise=()
    if [[ -n ${hold:-} ]]; then
        start_holder "$node" "$hold"
        supervise=(--supervise --watchdog 3s)
    fi
    # A session of its own: Ctrl-C reaches the script first, which then stops things in order.
    (in_node "$node" setsid "$larder" agent --config "$at/agent.yaml" "${supervise[@]}") >>"$at/agent.log" 2>&1 </dev/null &
    agent_pid[$node]=$!
    later stop_agent "$node"
    until_true 20 agent_serves "$node" || { tail -n 15 "$at/agent.log" >&2; die "the agent of $node does not serve"; }
}

start_holder() {
    local node=$1 socket=$2
    setsid "$larder" hold --socket "$socket" >>"$scratch/$node/hold.log" 2>&1 </dev/null &
    holder_pid[$node]=$!
    later stop_holder "$node"
    until_true 10 test -S "$socket" || { cat "$scratch/$node/hold.log" >&2; die "the holder of $node does not listen"; }
}

stop_holder() {
    stop "${holder_pid[$1]}" 5
    detach_below "$scratch/$1"
}

agent_serves() {
    kill -0 "${agent_pid[$1]}" && mountpoint -q "$(mount_of "$1")" \
        && (in_node "$1" curl -fsS --max-time 2 "http://${agent_telemetry[$1]}/readyz")
}

stop_agent() {
    [[ -n ${agent_pid[$1]:-} ]] || return 0
    stop "${agent_pid[$1]}" 15
    agent_pid[$1]=
    detach_below "$scratch/$1"
}
