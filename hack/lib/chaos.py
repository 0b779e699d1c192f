#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chaos.py: reads, writes and renames in a mount while COMMANDs break what serves it. hack/chaos sets that up.

  --mount DIR --object FILE    the object is read as DIR/chaos/object again and again; it must have FILE's bytes
  --publish DIR                it is published anew each time, with other bytes, through this mount of another agent
  --copy DIR                   and then read through this mount of a third agent, so that two have it
  --between                    the fault comes before each read, when both have it, and not at any moment
  --fault COMMAND              breaks something; run --times times at moments that --seed decides
  --least S --most S           how long after the last fault was got over the next one may come
  --supervisors PIDS           of agents, whose processes are described where a call does not return

Prints one line of JSON: faults, errors, wrong_bytes, longest_stall_s, and what was done meanwhile. Ends at the first
call that does not return within CALL_LIMIT, after saying where every thread stands.
"""
import argparse
import hashlib
import json
import mmap
import os
import random
import subprocess
import sys
import threading
import time

from stacks import describe_all

PIECE = 1 << 20
# A read may stall for 60 s (P6) and a holder keeps requests for as long; what takes longer never returns.
CALL_LIMIT = 90
# A fault is over when its process is gone or a link is mended, which the commands themselves wait 20 s for.
FAULT_LIMIT = 120


class Tally:
    """What happened, counted by every thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.errors = 0
        self.wrong = 0
        self.stall = 0.0
        self.stalled = ""
        self.steps = 0
        self.done = {}
        self.faults = 0
        # By thread: what it last began or ended, and when.
        self.seen = {}
        self.over = threading.Event()

    def error(self, where, problem):
        with self.lock:
            self.errors += 1
        print(f"chaos: error: {where}: {problem}", file=sys.stderr)

    def differs(self, where, count):
        with self.lock:
            self.wrong += count
        print(f"chaos: {count} wrong bytes: {where}", file=sys.stderr)

    def took(self, where, seconds):
        with self.lock:
            self.steps += 1
            if seconds > self.stall:
                self.stall, self.stalled = seconds, where

    def saw(self, where, when):
        with self.lock:
            self.seen[threading.get_native_id()] = (where, when)

    def left(self):
        """The thread that calls makes no more calls."""
        with self.lock:
            self.seen.pop(threading.get_native_id(), None)

    def finished(self, what):
        with self.lock:
            self.done[what] = self.done.get(what, 0) + 1


def difference(a, b):
    """How many bytes differ."""
    if a == b:
        return 0
    return sum(x != y for x, y in zip(a, b)) + abs(len(a) - len(b))


def timed(tally, where, call, *arguments):
    begin = time.monotonic()
    tally.saw(where, begin)
    try:
        return call(*arguments)
    finally:
        end = time.monotonic()
        tally.saw(f"after {where}", end)
        tally.took(where, end - begin)


def watching(tally, supervisors, end):
    """Ends everything at the first call that does not return: what it holds up would never end."""

    def run():
        while not tally.over.wait(1):
            now = time.monotonic()
            with tally.lock:
                late = [where for where, when in tally.seen.values() if now - when > CALL_LIMIT]
            if late:
                for where in late:
                    tally.error("hang", f"{where} does not return for {CALL_LIMIT} s")
                describe_all(supervisors)
                end()

    threading.Thread(target=run, daemon=True).start()


def whole(tally, path, want):
    """Reads a file past the page cache and compares it."""
    file = timed(tally, "open", os.open, path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        at = 0
        while True:
            piece = timed(tally, f"read {path} at {at}", os.read, file, PIECE)
            if not piece:
                break
            wrong = difference(piece, want[at : at + len(piece)])
            if wrong:
                tally.differs(f"{path} at {at}", wrong)
            at += len(piece)
        if at != len(want):
            tally.differs(f"{path} ends at {at} of {len(want)}", abs(len(want) - at))
    finally:
        timed(tally, "close", os.close, file)


def reading(tally, path, want):
    whole(tally, path, want)
    tally.finished("read")


def mapping(tally, path, want, chance):
    """Pages of a mapping, in random order."""
    with timed(tally, "open", open, path, "rb") as file:
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
            for _ in range(200):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                view.madvise(mmap.MADV_DONTNEED)
                at = chance.randrange(len(want))
                piece = timed(tally, "map", view.__getitem__, slice(at, at + 4096))
                wrong = difference(piece, want[at : at + len(piece)])
                if wrong:
                    tally.differs(f"{path}, mapped, at {at}", wrong)
                if tally.over.is_set():
                    return
    tally.finished("mapped")


def writing(tally, folder, number, chance):
    """A file that is written in pieces, partly appended, read back while open, renamed, and read once it is closed."""
    path, final = f"{folder}/written-{number % 8}.part", f"{folder}/written-{number % 8}"
    pieces = [chance.randbytes(chance.randrange(1, 300_000)) for _ in range(24)]
    want = b"".join(pieces)
    file = timed(tally, "create", os.open, path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        for piece in pieces[:12]:
            timed(tally, "write", os.write, file, piece)
            time.sleep(0.005)
    finally:
        timed(tally, "close", os.close, file)
    file = timed(tally, "append", os.open, path, os.O_RDWR | os.O_APPEND)
    try:
        for piece in pieces[12:]:
            timed(tally, "write", os.write, file, piece)
            time.sleep(0.005)
        back = timed(tally, "read back", os.pread, file, 4096, 0)
        if back != want[: len(back)]:
            tally.differs(f"{path} read back", difference(back, want[:4096]))
        if number % 2:
            timed(tally, f"rename {path}", os.rename, path, final)
    finally:
        timed(tally, "close", os.close, file)
    if number % 2 == 0:
        timed(tally, f"rename {path}", os.rename, path, final)
    whole(tally, final, want)
    tally.finished("written")


def replacing(tally, folder, number, chance):
    """A file that is renamed over one key and on over another while it is written: neither leaves anything behind."""
    one, two = f"{folder}/first-{number % 4}", f"{folder}/second-{number % 4}"
    for path in (one, two):
        with timed(tally, "create", open, path, "wb") as file:
            timed(tally, "write", file.write, chance.randbytes(chance.randrange(1, 100_000)))
    pieces = [chance.randbytes(chance.randrange(1, 100_000)) for _ in range(3)]
    file = timed(tally, "create", os.open, f"{folder}/new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        timed(tally, "write", os.write, file, pieces[0])
        timed(tally, f"rename new to {one}", os.rename, f"{folder}/new", one)
        timed(tally, "write", os.write, file, pieces[1])
        timed(tally, f"rename {one} to {two}", os.rename, one, two)
        timed(tally, "write", os.write, file, pieces[2])
    finally:
        timed(tally, "close", os.close, file)
    whole(tally, two, b"".join(pieces))
    if timed(tally, "stat", os.path.exists, one):
        tally.differs(f"{one} is still there", 1)
    tally.finished("replaced")


def naming(tally, folder, number):
    """Directories and links made, moved and removed: each exactly once, or an error tells."""
    one, two = f"{folder}/names-{number}", f"{folder}/moved-{number}"
    timed(tally, "mkdir", os.mkdir, one)
    timed(tally, "symlink", os.symlink, "target", f"{one}/link")
    timed(tally, f"rename {one}", os.rename, one, two)
    if timed(tally, "stat", os.path.exists, one) or timed(tally, "readlink", os.readlink, f"{two}/link") != "target":
        tally.differs(f"{two}: not what was moved there", 1)
    timed(tally, "unlink", os.unlink, f"{two}/link")
    timed(tally, "rmdir", os.rmdir, two)
    tally.finished("renamed")


def listing(tally, folder, names):
    """A directory that is being listed goes on where it was."""
    found = []
    with timed(tally, "list", os.scandir, folder) as entries:
        for entry in entries:
            found.append(entry.name)
            if len(found) % 100 == 0:
                time.sleep(0.01)
    if sorted(found) != names:
        tally.differs(f"{folder}: {len(found)} names listed, {len(set(found) ^ set(names))} are wrong", 1)
    tally.finished("listed")


def forever(tally, what, body):
    """Runs the body again and again; an error is counted, and is no reason to stop."""

    def run():
        number = 0
        while not tally.over.is_set():
            try:
                body(number)
            except OSError as problem:
                tally.error(what, problem)
                time.sleep(0.2)
            number += 1
        tally.left()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def publishing(tally, options, original):
    """Each round publishes other bytes at the other agent, and reads them here."""
    alphabet = list(range(256))
    chance = random.Random(options.seed)

    def arrives(here, want):
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            try:
                with timed(tally, "open", open, here, "rb") as file:
                    first = timed(tally, "first bytes", file.read, 4096)
                if first == want[:4096]:
                    break
            except FileNotFoundError:
                pass
            time.sleep(0.05)
        whole(tally, here, want)

    def round(number):
        chance.shuffle(alphabet)
        bytes_now = original.translate(bytes(alphabet))
        name = f"chaos/published-{number % 4}"
        there = f"{options.publish}/{name}"
        os.makedirs(os.path.dirname(there), exist_ok=True)
        with open(there + ".part", "wb") as file:
            file.write(bytes_now)
        timed(tally, "rename", os.rename, there + ".part", there)
        if options.copy:
            arrives(f"{options.copy}/{name}", bytes_now)
        if options.between:
            strike(tally, options, number, chance)
        arrives(f"{options.mount}/{name}", bytes_now)
        tally.finished("read")

    return round


def prepare(options, original):
    folder = f"{options.mount}/chaos"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/object", "wb") as file:
        file.write(original)
    os.makedirs(f"{folder}/many", exist_ok=True)
    for number in range(1500):
        with open(f"{folder}/many/name-{number:04}", "wb"):
            pass
    return folder, sorted(os.listdir(f"{folder}/many"))


def strike(tally, options, number, chance):
    """Breaks something; false: the command for it failed."""
    command = f"{options.fault} {number} {chance.randrange(1 << 30)}"
    try:
        subprocess.run(["/bin/bash", "-c", command], stdin=subprocess.DEVNULL, check=True, timeout=FAULT_LIMIT)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as problem:
        tally.error("fault", problem)
        describe_all(options.supervisors)
        return False
    return True


def in_rounds(tally, options, original):
    """The faults come with the rounds: one each."""
    body = publishing(tally, options, original)
    for number in range(options.times):
        before = tally.errors
        try:
            body(number)
        except OSError as problem:
            tally.error("publish", problem)
        if tally.errors > before + 1:
            return
        tally.faults += 1


def inject(tally, options):
    chance = random.Random(options.seed)
    for number in range(options.times):
        time.sleep(chance.uniform(options.least, options.most))
        if not strike(tally, options, number, chance):
            break
        # Survived is what moves again.
        before, limit = tally.steps, time.monotonic() + 90
        while tally.steps < before + 5 and time.monotonic() < limit:
            time.sleep(0.01)
        if tally.steps < before + 5:
            tally.error("fault", f"nothing moves any more after fault {number + 1}")
            describe_all(options.supervisors)
            break
        tally.faults += 1
        if (number + 1) % 20 == 0:
            print(f"chaos: {number + 1} faults, longest stall {tally.stall:.2f} s", file=sys.stderr)


def finish(tally, options, original, begin):
    """Says what happened, and ends at once: threads that hang must not keep this from ending."""
    print(
        json.dumps(
            {
                "faults": tally.faults,
                "errors": tally.errors,
                "wrong_bytes": tally.wrong,
                "longest_stall_s": round(tally.stall, 3),
                "stalled": tally.stalled,
                "seconds": round(time.monotonic() - begin, 1),
                "object_sha256": hashlib.sha256(original).hexdigest(),
                "done": tally.done,
            }
        )
    )
    sys.stdout.flush()
    os._exit(0 if tally.errors == 0 and tally.wrong == 0 and tally.faults == options.times else 1)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mount", required=True)
    parser.add_argument("--object", required=True)
    parser.add_argument("--publish")
    parser.add_argument("--copy")
    parser.add_argument("--between", action="store_true")
    parser.add_argument("--fault", required=True)
    parser.add_argument("--times", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--least", type=float, default=0.05)
    parser.add_argument("--most", type=float, default=0.8)
    parser.add_argument("--supervisors", type=str.split, default=[])
    return parser.parse_args()


def main():
    options = parse()
    with open(options.object, "rb") as file:
        original = file.read()
    tally = Tally()
    begin = time.monotonic()
    watching(tally, options.supervisors, lambda: finish(tally, options, original, begin))
    if options.between:
        threads = []
    elif options.publish:
        threads = [forever(tally, "publish", publishing(tally, options, original))]
    else:
        folder, names = timed(tally, "prepare", prepare, options, original)
        path = f"{folder}/object"
        threads = [
            forever(tally, "read", lambda _: reading(tally, path, original)),
            forever(tally, "map", lambda n: mapping(tally, path, original, random.Random(n))),
            forever(tally, "write", lambda n: writing(tally, folder, n, random.Random(n))),
            forever(tally, "replace", lambda n: replacing(tally, folder, n, random.Random(n))),
            forever(tally, "names", lambda n: naming(tally, folder, n)),
            forever(tally, "list", lambda _: listing(tally, f"{folder}/many", names)),
        ]
    tally.left()
    if options.between:
        in_rounds(tally, options, original)
        tally.left()
    else:
        inject(tally, options)
    # What was begun is to end, after the last fault too.
    ended = dict(tally.done)
    limit = time.monotonic() + 60
    while threads and any(tally.done.get(k, 0) <= n for k, n in ended.items()) and time.monotonic() < limit:
        time.sleep(0.05)
    tally.over.set()
    for thread in threads:
        thread.join(60)
    if any(thread.is_alive() for thread in threads):
        tally.error("end", "a call does not return")
        describe_all(options.supervisors)
    finish(tally, options, original, begin)


if __name__ == "__main__":
    main()
