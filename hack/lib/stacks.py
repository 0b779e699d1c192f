# SPDX-License-Identifier: Apache-2.0
"""Where processes stand in the kernel, for whoever finds that something does not return."""
import os
import sys


def said(path):
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError as problem:
        return problem.strerror


def describe(pid):
    """Where each thread of a process stands in the kernel."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    print(f"stacks: process {pid}: {said(f'/proc/{pid}/cmdline').replace(chr(0), ' ')}", file=sys.stderr)
    for thread in threads:
        at = f"/proc/{pid}/task/{thread}"
        state = said(f"{at}/stat").rpartition(")")[2].split()[:1]
        stack = [line.split("] ")[-1].partition("+")[0] for line in said(f"{at}/stack").splitlines()]
        print(f"stacks:   {thread} {said(f'{at}/comm')} {state} {said(f'{at}/wchan')}: {' '.join(stack)}", file=sys.stderr)


def family(pid):
    """A process and those below it."""
    pids = [pid]
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in said(f"/proc/{pid}/task/{thread}/children").split():
                if child.isdigit():
                    pids += family(child)
    except OSError:
        pass
    return pids


def describe_all(roots):
    """This process, those below each of the roots, and what waits for each FUSE mount."""
    describe(os.getpid())
    for pid in [pid for root in roots for pid in family(root)]:
        describe(pid)
    mounts = "/sys/fs/fuse/connections"
    for number in os.listdir(mounts) if os.path.isdir(mounts) else []:
        waiting = said(f"{mounts}/{number}/waiting")
        print(f"stacks: fuse connection {number}: {waiting} requests wait", file=sys.stderr)
