#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures of a mounted file system for hack/bench mount. Each verb prints one JSON object.

filesystem.py make DIRECTORY FILES NAMES   makes DIRECTORY/small (FILES files of 2 KiB) and DIRECTORY/many (NAMES empty ones)
filesystem.py names DIRECTORY NAMES        makes NAMES empty files
filesystem.py read FILE RUNS               MB/s: first, and the median of RUNS repeats
filesystem.py random FILE COUNT            4 KiB reads a second at random places, nothing of the file in the page cache
filesystem.py readers FILE COUNT           MB/s of COUNT processes that each read all of it, none of it in the page cache
filesystem.py write SOURCE FILE            MB/s until FILE can be opened and has SOURCE's size
filesystem.py list DIRECTORY               seconds of `ls -l`, first and again
filesystem.py stat DIRECTORY               look-ups a second of every file below, first and again
filesystem.py copy SOURCE DIRECTORY        files a second of `cp -a`
"""
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import time

CHUNK = 1 << 20


def timed(body, *arguments):
    start = time.perf_counter()
    body(*arguments)
    return time.perf_counter() - start


def touch(directory, count):
    os.makedirs(directory)
    for number in range(count):
        os.close(os.open(f"{directory}/name-{number:06}", os.O_WRONLY | os.O_CREAT))


def make(directory, files, names):
    for number in range(int(files)):
        folder = f"{directory}/small/{number // 500:03}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/file-{number:05}", "wb") as file:
            file.write(os.urandom(2048))
    touch(f"{directory}/many", int(names))
    return {}


def forget(path):
    """Drops what the page cache has of a file. Its bytes below a mount stay wherever that keeps them."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def drain(path):
    file = os.open(path, os.O_RDONLY)
    buffer = bytearray(CHUNK)
    while os.readv(file, [buffer]):
        pass
    os.close(file)


def read(path, runs):
    size = os.stat(path).st_size / 1e6
    first = timed(drain, path)
    again = statistics.median(timed(drain, path) for _ in range(int(runs)))
    return {"first": size / first, "again": size / again}


def random_reads(path, count):
    forget(path)
    size, rng = os.stat(path).st_size, random.Random(1)
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    places = [rng.randrange(size // 4096) * 4096 for _ in range(int(count))]
    seconds = timed(lambda: [os.pread(file, 4096, at) for at in places])
    os.close(file)
    return {"rate": len(places) / seconds}


def readers(path, count):
    forget(path)
    processes = [multiprocessing.Process(target=drain, args=(path,)) for _ in range(int(count))]

    def run():
        for process in processes:
            process.start()
        for process in processes:
            process.join()

    return {"rate": os.stat(path).st_size * len(processes) / 1e6 / timed(run)}


def write(source, path):
    def run():
        subprocess.run(["dd", f"if={source}", f"of={path}", "bs=1M", "status=none"], check=True)
        while os.stat(path).st_size != os.stat(source).st_size:
            time.sleep(0.001)

    return {"rate": os.stat(source).st_size / 1e6 / timed(run)}


def listing(directory):
    def run():
        subprocess.run(["ls", "-l", directory], stdout=subprocess.DEVNULL, check=True)

    return {"first": timed(run), "again": timed(run)}


def statuses(directory):
    paths = [os.path.join(top, name) for top, _, names in os.walk(directory) for name in names]
    first = timed(lambda: [os.stat(path) for path in paths])
    again = timed(lambda: [os.stat(path) for path in paths])
    return {"first": len(paths) / first, "again": len(paths) / again}


def copy(source, directory):
    count = sum(len(names) for _, _, names in os.walk(source))
    # A file system that can't set a mode (rclone) makes cp fail although every file is there; that is looked at below.
    seconds = timed(lambda: subprocess.run(["cp", "-a", source, directory], stderr=subprocess.DEVNULL, check=False))
    if sum(len(names) for _, _, names in os.walk(directory)) != count:
        raise SystemExit(f"{directory} has not all of the {count} files")
    return {"rate": count / seconds}


if __name__ == "__main__":
    verbs = {
        "make": make,
        "names": lambda directory, names: touch(directory, int(names)),
        "read": read,
        "random": random_reads,
        "readers": readers,
        "write": write,
        "list": listing,
        "stat": statuses,
        "copy": copy,
    }
    print(json.dumps(verbs[sys.argv[1]](*sys.argv[2:])))
