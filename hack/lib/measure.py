#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures for hack/bench. Each verb prints one JSON object.

measure.py memory PID…                   anonymous memory of processes, sampled until TERM: the largest of them, in bytes
measure.py cpu PID…                      core-seconds that each process has used, its children not counted
measure.py idle SECONDS PID…             share of one core that each process used, the largest
measure.py absent DIRECTORY COUNT        microseconds of a look-up of a name that is not there
measure.py files MEGABYTES               paths of this machine's own files, NUL-terminated, for `tar --null -T -`
measure.py sum STAGES CORES STAGE…       bytes per second that the stages reach together on CORES cores
"""
import json
import os
import signal
import statistics
import sys
import time


def anonymous(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has ended; what was seen before counts
    return 0


def memory(*pids):
    stopped, peak = [], 0
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    while not stopped:
        peak = max([peak] + [anonymous(pid) for pid in pids])
        time.sleep(0.05)
    return {"bytes": peak}


def busy(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as line:
        fields = line.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu(*pids):
    return {"seconds": [busy(pid) for pid in pids]}


def idle(seconds, *pids):
    before, start = [busy(pid) for pid in pids], time.monotonic()
    time.sleep(float(seconds))
    took = time.monotonic() - start
    return {"share": max((busy(pid) - b) / took for pid, b in zip(pids, before))}


def look_up(path):
    start = time.perf_counter()
    try:
        os.stat(path)
    except FileNotFoundError:
        return (time.perf_counter() - start) * 1e6
    raise SystemExit(f"{path} exists")


def absent(directory, count):
    # Until the cut is noticed a miss may ask the other side; how long that takes is a number of its own.
    start, quick, settled = time.monotonic(), 0, 0
    while quick < 20:
        settled += 1
        quick = quick + 1 if look_up(f"{directory}/settle-{settled}") < 5000 else 0
        if time.monotonic() - start > 60:
            raise SystemExit("misses are still slow a minute after the cut")
    noticed = time.monotonic() - start
    times = sorted(look_up(f"{directory}/absent-{n}") for n in range(int(count)))
    return {"p50": statistics.median(times), "p99": times[int(len(times) * 0.99)], "noticed_seconds": noticed}


def files(megabytes):
    left = int(float(megabytes) * 1e6)
    for top in ("/usr/lib", "/usr/share", "/usr/bin", "/usr/include", "/opt", "/var/lib", "/usr/local"):
        for directory, names, found in os.walk(top):
            names.sort()
            for name in sorted(found):
                path = os.path.join(directory, name)
                try:
                    if not os.path.isfile(path) or os.path.islink(path) or not os.access(path, os.R_OK):
                        continue
                    size = os.path.getsize(path)
                except OSError:
                    continue
                if size > left:
                    continue
                sys.stdout.write(path + "\0")
                left -= size + 512
                if left < 4096:
                    return None
    return None


def sum_of(stages, cores, *names):
    with open(stages, encoding="ascii") as text:
        measured = json.load(text)
    used = {name: measured[name] for name in names if isinstance(measured.get(name), (int, float))}
    if not used:
        raise SystemExit("bench-stages reported none of: " + ", ".join(names))
    return {"bytes_per_second": float(cores) / sum(used.values()), "stages": sorted(used)}


if __name__ == "__main__":
    verbs = {"memory": memory, "cpu": cpu, "idle": idle, "absent": absent, "files": files, "sum": sum_of}
    result = verbs[sys.argv[1]](*sys.argv[2:])
    if result is not None:
        print(json.dumps(result))
