#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plain copy over TCP, to measure what a link does without Larder.

copy.py receive PORTFILE HOST     listens on HOST, writes its port to PORTFILE, discards what comes, prints JSON
copy.py send HOST PORT COUNT      sends COUNT bytes
"""
import json
import os
import socket
import sys
import time


def receive(port_file, host):
    server = socket.create_server((host, 0))
    with open(port_file + ".new", "w", encoding="ascii") as out:
        out.write(str(server.getsockname()[1]))
    os.rename(port_file + ".new", port_file)
    server.settimeout(30)
    connection, _ = server.accept()
    connection.settimeout(60)
    count, start = 0, None
    while True:
        got = len(connection.recv(1 << 20))
        if start is None:
            start = time.monotonic()
        if got == 0:
            break
        count += got
    seconds = time.monotonic() - start
    print(json.dumps({"bytes": count, "seconds": seconds, "bytes_per_second": count / max(seconds, 1e-9)}))


def send(host, port, count):
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        block, left = os.urandom(1 << 16), int(count)
        while left > 0:
            connection.sendall(block[: min(left, len(block))])
            left -= len(block)


if __name__ == "__main__":
    {"receive": receive, "send": send}[sys.argv[1]](*sys.argv[2:])
