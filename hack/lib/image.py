#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Contexts for `docker build` that look like two builds of one service, made of this machine's own files.

image.py fill DIRECTORY MEGABYTES   a base layer (libraries), a layer of dependencies, an application
image.py rebuild DIRECTORY SEED     as after a rebuild: three source files edited, every time stamp new
image.py zip DIRECTORY FILE         dependencies and application as a cache archive: a stored zip
"""
import glob
import os
import random
import shutil
import stat
import struct
import sys
import time
import zipfile

# Layer, share of the size, where its files come from. What one lacks the later sources of the list make up for.
LAYERS = [
    ("base", 0.55, ["/usr/lib/*-linux-gnu", "/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/lib"]),
    ("dependencies", 0.41, ["/usr/lib/python3*", "/usr/share", "/usr/lib", "/usr/include"]),
    ("application", 0.04, ["/usr/lib/python3*"]),
]
# No single file may be a large part of the whole: real images have many.
PART_MAX = 0.2


def candidates(pattern):
    for top in sorted(glob.glob(pattern)):
        for directory, names, files in os.walk(top):
            names.sort()
            for name in sorted(files):
                yield os.path.join(directory, name)


def fill(directory, megabytes):
    total = int(float(megabytes) * 1e6)
    taken = set()
    for layer, share, patterns in LAYERS:
        left = int(total * share)
        source_only = layer == "application"
        for path in (p for pattern in patterns for p in candidates(pattern)):
            if left <= 0:
                break
            if source_only != path.endswith(".py") and source_only or (path in taken and not source_only):
                continue
            try:
                state = os.lstat(path)
                if not stat.S_ISREG(state.st_mode) or state.st_size == 0 or state.st_size > PART_MAX * total:
                    continue
                to = os.path.join(directory, layer, "srv" if source_only else "", path.lstrip("/"))
                os.makedirs(os.path.dirname(to), exist_ok=True)
                shutil.copyfile(path, to)
                os.chmod(to, 0o755 if state.st_mode & 0o111 else 0o644)
            except OSError:
                continue  # not readable, or gone: any other file is as good
            taken.add(path)
            left -= state.st_size
        os.makedirs(os.path.join(directory, layer), exist_ok=True)
    stamp(directory)
    with open(os.path.join(directory, "Dockerfile"), "w", encoding="ascii") as out:
        out.write("FROM scratch\n" + "".join(f"COPY {layer} /\n" for layer, _, _ in LAYERS) + 'CMD ["/srv"]\n')


def stamp(directory):
    """New times on everything, and in compiled Python files the new time of their source, as a rebuild leaves them."""
    now = int(time.time())
    for at, names, files in os.walk(directory, topdown=False):
        for name in files:
            path = os.path.join(at, name)
            if name.endswith(".pyc"):
                with open(path, "r+b") as compiled:
                    head = compiled.read(12)
                    if len(head) == 12 and head[4:8] == b"\0\0\0\0":
                        compiled.seek(8)
                        compiled.write(struct.pack("<I", now))
            os.utime(path, (now, now))
        for name in names:
            os.utime(os.path.join(at, name), (now, now))


def rebuild(directory, seed):
    chance = random.Random(int(seed))
    sources = sorted(p for p in candidates(os.path.join(directory, "application")) if os.path.getsize(p) > 500)
    for path in chance.sample(sources, min(3, len(sources))):
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            lines = source.read().split("\n")
        at = chance.randrange(len(lines))
        lines[at:at] = [f"# change {n} {chance.getrandbits(64):x}" for n in range(chance.randrange(1, 9))]
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as source:
            source.write("\n".join(lines))
    stamp(directory)


def pack(directory, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for layer in ("dependencies", "application"):
            for name in sorted(candidates(os.path.join(directory, layer))):
                archive.write(name, os.path.relpath(name, directory))


if __name__ == "__main__":
    {"fill": fill, "rebuild": rebuild, "zip": pack}[sys.argv[1]](*sys.argv[2:])
