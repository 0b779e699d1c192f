# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The fan-out of hack/bench: one object of another site, read by all nodes of a site at the same moment.
# Reads: hack/bench's functions, scratch and lab.
# shellcheck disable=SC2034,SC2154

# node_bytes NODE: what it sent and received at its interface.
node_bytes() {
    (in_node "$1" cat /proc/net/dev) | jq -Rnc '[inputs | select(test("^ *eth0:")) | sub(".*eth0:"; "") | [scan("[0-9]+") | tonumber]]
        | .[0] | {received: .[0], sent: .[8]}'
}

# fanout_run FILE COUNT: prints {seconds, up, nodes: [{sent, received}, …]}; the first node is the gateway.
fanout_run() {
    local file=$1 count=$2 node reader seconds start from to
    local -a readers=() earlier=()
    agent_site=()
    place basement-1 basement
    for (( node = 1; node <= count; node++ )); do place "cloud-$node" cloud; done
    start_agent basement-1 50Mbit
    for (( node = 1; node <= count; node++ )); do start_agent "cloud-$node"; done
    cp "$file" "$(mount_of basement-1)/hot"
    for (( node = 1; node <= count; node++ )); do
        client "cloud-$node" wait ci/hot --timeout 60s >/dev/null 2>&1
    done
    # Everybody has called everybody by now.
    sleep 2
    from=$(counters)
    for (( node = 1; node <= count; node++ )); do earlier+=("$(node_bytes "cloud-$node")"); done
    start=$(now)
    for (( node = 1; node <= count; node++ )); do
        cat "$(mount_of "cloud-$node")/hot" >/dev/null &
        readers+=($!)
    done
    for reader in "${readers[@]}"; do wait "$reader"; done
    seconds=$(since "$start")
    to=$(counters)
    for (( node = 1; node <= count; node++ )); do
        jq -nc --argjson a "${earlier[node - 1]}" --argjson b "$(node_bytes "cloud-$node")" \
            '{sent: ($b.sent - $a.sent), received: ($b.received - $a.received)}'
    done | jq -sc --argjson seconds "$seconds" --argjson a "$from" --argjson b "$to" \
        '{seconds: $seconds, up: ($b.up_bytes - $a.up_bytes), nodes: .}' >"$scratch/fanout"
    for (( node = 1; node <= count; node++ )); do
        cmp "$file" "$(mount_of "cloud-$node")/hot" || die "the object arrived different at node $node"
    done
    for (( node = 1; node <= count; node++ )); do
        stop_agent "cloud-$node"; rm -rf --one-file-system "${scratch:?}/cloud-$node"
    done
    stop_agent basement-1; rm -rf --one-file-system "$scratch/basement-1"
    agent_site=()
}

# bench_fanout FILE COUNTS: with one node first, which is what the others are measured by.
bench_fanout() {
    local file=$1 count most size alone least=''
    local -a counts
    IFS=, read -ra counts <<<"$2"
    most=$(printf '%s\n' "${counts[@]}" | sort -n | tail -n 1)
    size=$(size_of "$file")
    warm "$file"
    [[ -z $lab ]] || "$root/hack/lab" --name "$lab" down
    start_lab "basement:1,cloud:$most" 50mbit 1gbit || die "network namespaces can't be had here, and without them there is no link to measure"
    say "fanout: one node"
    fanout_run "$file" 1
    alone=$(jq .up "$scratch/fanout")
    row fanout "1 node" "time" "$(jq .seconds "$scratch/fanout")" s
    row fanout "1 node" "bytes over the link" "$alone" B "size of the object" "$size"
    for count in "${counts[@]}"; do
        say "fanout: $count nodes"
        fanout_run "$file" "$count"
        : "${least:=$(jq .seconds "$scratch/fanout")}"
        row fanout "$count nodes" "bytes over the link" "$(jq .up "$scratch/fanout")" B "one node" "$alone"
        row fanout "$count nodes" "time" "$(jq .seconds "$scratch/fanout")" s "${counts[0]} nodes" "$least"
        row fanout "$count nodes" "sent by the gateway" "$(jq '.nodes[0].sent' "$scratch/fanout")" B "size of the object" "$size"
        (( count == 1 )) || row fanout "$count nodes" "sent by another node, the most" "$(jq '[.nodes[1:][].sent] | max' "$scratch/fanout")" B \
            "received by it" "$(jq '.nodes[1:] | max_by(.sent).received' "$scratch/fanout")"
    done
}
