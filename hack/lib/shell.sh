# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts of hack/ share. Source it after `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# The script's own name for messages, also where it is sourced by way of a link.
program=${0##*/}
# Virtual environments and downloaded tools; ignored by git.
# shellcheck disable=SC2034
tools=$root/.build-tools
# shellcheck disable=SC2034
larder=$root/.build/release/larder

say() { printf '%s: %s\n' "$program" "$*" >&2; }
die() { say "$*"; exit 1; }
misuse() { printf '%s: %s (hack/%s -h says more)\n' "$program" "$*" "$program" >&2; exit 2; }

# The comment block at the top of a script is its help.
help() { sed -n '/^# SPDX/,/^[^#]/{/^# SPDX/d;/^#/!d;s/^# \{0,1\}//;p}' "$0"; }

# later COMMAND…: runs COMMAND at the end, however the script ends; the last one registered runs first.
undo=()
later() { undo=("$(printf '%q ' "$@")" "${undo[@]}"); }
finish() {
    local code=$? step
    trap - EXIT
    trap '' INT TERM HUP
    set +e
    for step in "${undo[@]}"; do eval "$step"; done
    exit "$code"
}
arm() {
    trap finish EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# stop PID [SECONDS]: TERM, and KILL where that is not enough. Does nothing to what is no child of this script (any more).
stop() {
    local pid=$1 tries=$(( ${2:-10} * 10 ))
    [[ $(sed -n 's/^PPid:\s*//p' "/proc/$pid/status" 2>/dev/null || true) == "$$" ]] || return 0
    kill -TERM "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null && (( tries-- > 0 )); do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    return 0
}

# until SECONDS COMMAND…: true as soon as COMMAND is.
until_true() {
    local tries=$(( $1 * 20 )); shift
    until "$@" >/dev/null 2>&1; do (( tries-- > 0 )) || return 1; sleep 0.05; done
}

have() { command -v "$1" >/dev/null 2>&1; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.4f\n", b - a }'; }

# A private directory that is removed at the end; its name is put into $scratch.
make_scratch() {
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/larder-$program.XXXXXX")
    later rm -rf --one-file-system "$scratch"
}

# In a pipeline of processes a mount may outlive its server: detaches what is left below a directory that is ours.
detach_below() {
    local at
    while read -r at; do umount -l "$at" 2>/dev/null; done \
        < <(awk -v d="$1/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
    return 0
}

swift_is_new() {
    local version
    have swift || return 1
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    [[ -n $version ]] && printf '6.3\n%s\n' "$version" | sort -V -C
}
