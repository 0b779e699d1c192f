#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Watches one network interface and says what crossed it, and when.

link.py watch INTERFACE FILE         appends "time sent received" ten times a second until it is stopped
link.py between FILE FROM TO RATE    what happened from FROM to TO (seconds since 1970), as JSON; RATE in bytes/s
"""
import json
import signal
import sys
import time

PERIOD = 0.1


def read(interface):
    with open("/proc/net/dev", encoding="ascii") as table:
        for line in table:
            name, _, fields = line.partition(":")
            if name.strip() == interface:
                numbers = fields.split()
                if interface == "lo":  # what is sent there is received there too
                    return int(numbers[8]), 0
                return int(numbers[8]), int(numbers[0])
    raise SystemExit(f"no interface {interface}")


def watch(interface, path):
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    with open(path, "w", encoding="ascii", buffering=1) as out:
        while not stopped:
            out.write("%.3f %d %d\n" % (time.time(), *read(interface)))
            time.sleep(PERIOD)


def between(path, start, end, rate):
    start, end, rate = float(start), float(end), float(rate)
    with open(path, encoding="ascii") as lines:
        samples = [(float(t), int(up), int(down)) for t, up, down in (x.split() for x in lines if x.endswith("\n"))]
    # One sample before and one after, so that nothing at the edges is lost.
    first = max([i for i, s in enumerate(samples) if s[0] <= start], default=0)
    last = min([i for i, s in enumerate(samples) if s[0] >= end], default=len(samples) - 1)
    chosen = samples[first : last + 1]
    # Heartbeats and the directory's pushes never stop; bytes of content come at a good part of the link's rate.
    busy = [
        (a[0], b[0])
        for a, b in zip(chosen, chosen[1:])
        if (b[1] + b[2] - a[1] - a[2]) / max(b[0] - a[0], 1e-6) > rate * 0.02
    ]
    print(
        json.dumps(
            {
                "up_bytes": chosen[-1][1] - chosen[0][1],
                "down_bytes": chosen[-1][2] - chosen[0][2],
                "busy_seconds": round(busy[-1][1] - busy[0][0], 2) if busy else 0.0,
                "busy_from": busy[0][0] if busy else None,
                "busy_to": busy[-1][1] if busy else None,
            }
        )
    )


if __name__ == "__main__":
    {"watch": watch, "between": between}[sys.argv[1]](*sys.argv[2:])
